package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// installVariable names an install file to test; without it, one is made.
const installVariable = "ASSAY_INSTALL"

// installFile is the file that a cluster gets.
func installFile() (string, error) {
	if file := os.Getenv(installVariable); file != "" {
		return filepath.Abs(file)
	}
	return makeInstall(filepath.Join(scratch, "install"), "VERSION="+imageVersion)
}

// makeInstall runs "make dist/install.yaml" over what it needs of the work tree,
// in a folder of its own.
func makeInstall(folder string, variables ...string) (string, error) {
	for _, needed := range []string{"config", "hack"} {
		if err := os.CopyFS(filepath.Join(folder, needed), os.DirFS(filepath.Join(root, needed))); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	for _, needed := range []string{"Makefile", "go.mod"} {
		content, err := os.ReadFile(filepath.Join(root, needed))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(folder, needed), content, 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("make", append([]string{"-s", "dist/install.yaml"}, variables...)...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make dist/install.yaml %s: %w\n%s", strings.Join(variables, " "), err, out)
	}
	return filepath.Join(folder, "dist", "install.yaml"), nil
}

// readManifests reads a file of objects.
func readManifests(file string) (manifests, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return decode(bytes.NewReader(content))
}

// kubectlFile is the kubectl of the control plane, and adminFile what it takes
// for a cluster administrator's KUBECONFIG.
var kubectlFile, adminFile string

func prepareKubectl(env *envtest.Environment) error {
	kubectlFile = filepath.Join(env.BinaryAssetsDirectory, "kubectl")
	adminFile = filepath.Join(scratch, "admin.kubeconfig")
	return os.WriteFile(adminFile, env.KubeConfig, 0o600)
}

// kubectl runs a command as cluster administrator, in the work tree.
func kubectl(args ...string) ([]byte, error) {
	cmd := exec.Command(kubectlFile, args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "KUBECONFIG="+adminFile)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, problems.Bytes())
	}
	return out.Bytes(), nil
}

// The file is config/default with the image of a version, the same bytes each
// time.
func TestInstallFileIsTheDefault(t *testing.T) {
	const image, version = "registry.example.com/team/assay-controller", "v1.2.3"
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	folder := t.TempDir()
	read := func(variables ...string) []byte {
		t.Helper()
		file, err := makeInstall(folder, append(variables, "VERSION="+version)...)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	base, err := build("config/default")
	if err != nil {
		t.Fatal(err)
	}
	const latest = "ghcr.io/assay-dev/assay-controller:latest"
	for what, tc := range map[string]struct {
		variables []string
		image     string
	}{
		"our image":      {nil, "ghcr.io/assay-dev/assay-controller:" + version},
		"another image":  {[]string{"IMAGE=" + image}, image + ":" + version},
		"a pinned image": {[]string{"IMAGE=" + image, "DIGEST=" + digest}, image + ":" + version + "@" + digest},
	} {
		want := "# Assay " + version + ": kubectl apply --server-side -f install.yaml\n" + strings.Replace(string(base), latest, tc.image, 1)
		found := read(tc.variables...)
		if diff := cmp.Diff(want, string(found)); diff != "" {
			t.Errorf("%s: expected config/default (-expected +found):\n%s", what, diff)
		}
		if again := read(tc.variables...); !bytes.Equal(found, again) {
			t.Errorf("%s: expected the same bytes when it is made again", what)
		}
	}
	if left, err := filepath.Glob(filepath.Join(folder, "dist", "*")); err != nil || len(left) != 1 {
		t.Errorf("expected install.yaml alone, found %v, %v", left, err)
	}
}

func TestInstallFileRefuses(t *testing.T) {
	for what, variables := range map[string][]string{
		"VERSION: expected the tag of an image": {"VERSION=v1 dirty"},
		"DIGEST: expected sha256:":              {"VERSION=v1", "DIGEST=sha256:abc"},
		"expected the image, without a tag":     {"VERSION=v1", "IMAGE="},
	} {
		folder := t.TempDir()
		if _, err := makeInstall(folder, variables...); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v: expected %q, found %v", variables, what, err)
		}
		if _, err := os.Stat(filepath.Join(folder, "dist", "install.yaml")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: expected no file, found %v", variables, err)
		}
	}
}

// What was applied at the start, by the same command, is applied once more and
// changes nothing: neither a field that the API server defaults nor one that it
// drops is in dispute.
func TestInstallingAgainChangesNothing(t *testing.T) {
	before := versionsOf(t)
	if _, err := kubectl("apply", "--server-side", "-f", installedFile); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, versionsOf(t)); diff != "" {
		t.Errorf("applying it again changed objects (-before +after):\n%s", diff)
	}
	for _, side := range []string{"--server-side=true", "--server-side=false"} {
		if out, err := kubectl("diff", side, "-f", installedFile); err != nil {
			t.Errorf("expected no difference, found %v\n%s", err, out)
		}
	}
}

// versionsOf are the resource versions of everything that is installed.
func versionsOf(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, want := range installed {
		obj := want.DeepCopy()
		if err := kube.Get(background, client.ObjectKeyFromObject(want), obj); err != nil {
			t.Fatal(err)
		}
		versions[obj.GetKind()+" "+obj.GetName()] = obj.GetResourceVersion()
	}
	return versions
}
