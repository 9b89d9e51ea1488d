// Package deploy tests what a cluster gets: the generated install file, applied
// to a real API server, and the program as the Dockerfile builds it, started
// as the kubelet would start it, with the rights of its ServiceAccount and no
// others.
//
// There is no kubelet, no scheduler and no controller manager: what they would
// do (substitute variables, mount volumes, route Services, ask probes) the
// tests do from the manifests themselves.
package deploy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/controlplane"
)

var (
	root          string // of the work tree
	kubeconfig    *rest.Config
	kube          client.Client // as cluster administrator
	installedFile string        // dist/install.yaml, as it was applied
	installed     manifests     // what is in it
	auditLog      string        // what the controller asked of the API server
	scratch       string        // a folder that outlives each test
	background    = context.Background()
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	log.SetLogger(logr.Discard()) // The test's own clients have nothing to say.
	var err error
	if root, err = controlplane.Root(); err != nil {
		return fail(err)
	}
	if scratch, err = os.MkdirTemp("", "assay-deploy-"); err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	env, err := startControlPlane()
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := env.Stop(); err != nil {
			code = fail(fmt.Errorf("stopping the control plane: %w", err))
		}
	}()
	kubeconfig = env.Config
	if kube, err = client.New(kubeconfig, client.Options{Scheme: controllers.NewScheme()}); err != nil {
		return fail(err)
	}
	if err := install(env); err != nil {
		return fail(err)
	}
	return m.Run()
}

// install does what its first line says to the install file.
func install(env *envtest.Environment) (err error) {
	if err := prepareKubectl(env); err != nil {
		return err
	}
	if installedFile, err = installFile(); err != nil {
		return err
	}
	if installed, err = readManifests(installedFile); err != nil {
		return err
	}
	_, err = kubectl("apply", "--server-side", "-f", installedFile)
	return err
}

// auditPolicy writes down what the controller's ServiceAccount does.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + serviceAccountUser + `"]
- level: None
`

// startControlPlane starts an API server that knows nothing of Assay yet, and
// that writes an audit log.
func startControlPlane() (*envtest.Environment, error) {
	policy := filepath.Join(scratch, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	auditLog = filepath.Join(scratch, "audit.log")
	return controlplane.Start(os.Stderr, func(env *envtest.Environment) {
		env.CRDDirectoryPaths = nil
		env.ControlPlane.GetAPIServer().Configure().
			Set("audit-policy-file", policy).
			Set("audit-log-path", auditLog)
	})
}

// patience is how long a test waits for a condition; shared machines are slow
// at times.
const patience = 90 * time.Second

// await asks until the answer is no error.
func await(t *testing.T, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s until %s: %v", patience, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
