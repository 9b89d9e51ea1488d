package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/controlplane"
)

// TestInstallationAndRunbooks types what docs/operating.md and the runbooks say
// into a shell, where the cluster is a control plane without nodes: an
// installation, and then each look at it.
func TestInstallationAndRunbooks(t *testing.T) {
	env, err := controlplane.Start(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	}()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, env.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl := filepath.Join(env.BinaryAssetsDirectory, "kubectl")
	if _, err := os.Stat(kubectl); err != nil {
		t.Skip("KUBEBUILDER_ASSETS has no kubectl to run")
	}
	install := installFile(t)
	run := func(document, line string) {
		t.Helper()
		line = strings.NewReplacer("-f dist/install.yaml", "-f "+install, "-k .\n", "-k config/default\n", "NAMESPACE", "apps", "NAME", "app").Replace(line)
		cmd := exec.CommandContext(t.Context(), "bash", "-euc", line)
		cmd.Dir = root(t)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+env.BinaryAssetsDirectory+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %s: %v\n%s", document, line, err, out)
		}
	}
	done := map[string]bool{}
	each := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range blocks(string(text), "sh") {
			for line := range strings.Lines(block) {
				// Logs are a kubelet's, and the rest is other programs'.
				if strings.HasPrefix(line, "kubectl ") && !strings.HasPrefix(line, "kubectl logs ") && !done[line] {
					run(filepath.Base(path), line)
					done[line] = true
				}
			}
		}
	}
	each(filepath.Join(root(t), "docs", "operating.md"))
	run("this test", "kubectl create namespace apps; kubectl create -n apps -f -<<'EOF'\n"+someSource+"EOF")
	run("this test", "kubectl create namespace flux-system; kubectl create -f - <<'EOF'\n"+someLease+"EOF")
	pages, err := filepath.Glob(filepath.Join(root(t), "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		each(page)
	}
	if len(done) < 12 {
		t.Errorf("expected command lines of kubectl, found %d", len(done))
	}
}

const someSource = `apiVersion: source.assay.dev/v1alpha1
kind: ModuleSource
metadata: {name: app}
spec:
  url: oci://registry.example.com/app
  verify: {authorities: [{name: key, key: {secretRef: {name: keys}}}]}
`

// someLease is what a controller would have made.
const someLease = `apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: assay-controller, namespace: assay-system}
`

// installFile is what make dist/install.yaml writes, outside of the work tree.
func installFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "install.yaml")
	cmd := exec.CommandContext(t.Context(), "bash", "-c", `hack/install.sh > "$1"`, "bash", file)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "IMAGE=ghcr.io/assay-dev/assay-controller", "VERSION=v0.0.0-test")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}
