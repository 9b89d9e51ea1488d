package story

import (
	"context"
	"fmt"
	"os"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/controlplane"
)

// The control plane that the tests of this package share. Each test has a
// namespace, a registry and a controller of its own.
var (
	kubeconfig *rest.Config
	kube       client.Client
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	env, err := controlplane.Start(os.Stderr, func(env *envtest.Environment) {
		// By default it is the address of the default route, and TestNoNetwork
		// has none.
		env.ControlPlane.GetAPIServer().Configure().Set("advertise-address", "127.0.0.1")
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
		}
	}()
	defer removeBuilt()
	kubeconfig = env.Config
	kube, err = client.New(kubeconfig, client.Options{Scheme: controllers.NewScheme()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

var background = context.Background()
