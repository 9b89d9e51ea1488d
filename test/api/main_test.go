// Package api holds the CRD against a real API server: what it accepts and what
// it refuses, with which words, what it fills in and what it shows; and against
// the core, which must refuse nothing that the API server accepts.
package api

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/controlplane"
)

// The control plane that the tests of this package share. Most of them only
// ask what it would do (dry run), and need no namespace of their own.
var (
	kubeconfig *rest.Config
	kubeHTTP   *http.Client
	kube       client.Client
)

var background = context.Background()

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard()) // envtest's own
	env, err := controlplane.Start(os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
		}
	}()
	if err := connect(env.Config); err != nil {
		fmt.Fprintln(os.Stderr, "connecting to the control plane:", err)
		return 1
	}
	return m.Run()
}

func connect(config *rest.Config) error {
	kubeconfig = rest.CopyConfig(config)
	kubeconfig.QPS = -1 // thousands of questions, and nobody else who asks
	var err error
	if kubeHTTP, err = rest.HTTPClientFor(kubeconfig); err != nil {
		return err
	}
	kube, err = client.New(kubeconfig, client.Options{Scheme: controllers.NewScheme(), HTTPClient: kubeHTTP})
	return err
}
