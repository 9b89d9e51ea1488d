package image

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/controlplane"
	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

const (
	user      = 65532
	patience  = 90 * time.Second
	namespace = "default"
)

// mine is the image for this machine.
func mine(t *testing.T) (v1Config, string) {
	t.Helper()
	image := images(t, made(t))["linux/"+runtime.GOARCH]
	if image == nil {
		t.Skipf("WARNING: the image is NOT run: it is not for linux/%s", runtime.GOARCH)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return v1Config{config.Config.Entrypoint, config.Config.Env}, unpack(t, image, "data", "etc/kubernetes")
}

type v1Config struct{ entrypoint, env []string }

// TestTellsItsVersionInAContainer: alone, with no network either.
func TestTellsItsVersionInAContainer(t *testing.T) {
	config, folder := mine(t)
	out := output(t)
	cmd := container{Root: folder, Volume: "data", User: user, Args: append(config.entrypoint, "--version"), Env: config.env}.start(t, 0, out)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, text(t, out))
	}
	if got, want := text(t, out), "assay-controller "+arguments.Version+"\n"; got != want {
		t.Errorf("expected %q, found %q", want, got)
	}
}

// TestWorksInAContainer starts it as the Deployment says, sees a module
// published, and looks where it could have written.
func TestWorksInAContainer(t *testing.T) {
	config, folder := mine(t)
	env, err := controlplane.Start(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Stop() })
	writeKubeconfig(t, env.Config, filepath.Join(folder, "etc", "kubernetes", "kubeconfig"))
	args, health := deployed(t)
	before := tree(t, folder)
	out := output(t)
	cmd := container{
		Root: folder, Volume: "data", User: user, Args: append(config.entrypoint, args...),
		Env: append(config.env, "KUBECONFIG=/etc/kubernetes/kubeconfig"),
	}.start(t, syscall.CLONE_NEWNET, out)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // An error where it has ended.
		if t.Failed() {
			t.Logf("its log:\n%s", text(t, out))
		}
	})
	for _, path := range []string{"/healthz", "/readyz"} {
		await(t, path, func() error { return ok("http://" + health + path) })
	}
	publish(t, env.Config)

	process := fmt.Sprintf("/proc/%d", cmd.Process.Pid)
	wantStatus(t, process)
	wantMounts(t, process)
	published, err := os.ReadDir(filepath.Join(process, "root", "data"))
	if err != nil || len(published) == 0 {
		t.Errorf("expected files in the volume, found %v, %v", published, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("expected it to end by itself, found %v", err)
		}
	case <-time.After(patience):
		t.Error("expected it to end, and it does not")
	}
	if after := tree(t, folder); after != before {
		t.Errorf("expected the root to stay\n%s\nfound\n%s", before, after)
	}
	if log := text(t, out); strings.Contains(log, "read-only file system") || strings.Contains(log, "permission denied") {
		t.Errorf("expected it not to try either, found %s", log)
	}
}

// output is a file for what a program prints.
func output(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func text(t *testing.T, file *os.File) string {
	t.Helper()
	raw, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func writeKubeconfig(t *testing.T, config *rest.Config, file string) {
	t.Helper()
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x",
	}, file)
	if err == nil {
		err = os.Chmod(file, 0o444)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// deployed are the Deployment's arguments, with addresses on loopback, and where
// it tells its health.
func deployed(t *testing.T) (args []string, health string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "config", "manager", "manager.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d := &appsv1.Deployment{}
	if err := yaml.Unmarshal(raw, d); err != nil {
		t.Fatal(err)
	}
	for _, arg := range d.Spec.Template.Spec.Containers[0].Args {
		arg = strings.NewReplacer("$(POD_NAMESPACE)", namespace, "$(POD_IP)", "127.0.0.1").Replace(arg)
		flag, value, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(value, ":") {
			address := freeAddress(t)
			arg = flag + "=" + address
			if flag == "--health-addr" {
				health = address
			}
		}
		args = append(args, arg)
	}
	return append(args, "--dial-allow=127.0.0.0/8"), health
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func ok(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

func await(t *testing.T, what string, ask func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %v", patience, what, err)
		}
	}
}

// publish makes a ModuleSource of a signed module, and waits for its artifact.
func publish(t *testing.T, config *rest.Config) {
	t.Helper()
	server, err := testregistry.Referrers(testregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	image, err := module.New(module.Options{Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := module.Push(t.Context(), server.Host()+"/app:1.0.0", image)
	if err == nil {
		err = signing.SignBundle(t.Context(), server.Host()+"/app@"+digest, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	kube, err := client.New(config, client.Options{Scheme: controllers.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	source := &v1alpha1.ModuleSource{}
	if err := yaml.UnmarshalStrict([]byte(fmt.Sprintf(`
metadata: {name: app, namespace: %s}
spec:
  url: oci://%s/app
  version: 1.0.0
  insecure: true
  verify:
    authorities:
    - name: release-key
      key: {data: %q}
      transparencyLog: Ignore
`, namespace, server.Host(), key.PublicPEM())), source); err != nil {
		t.Fatal(err)
	}
	if err := kube.Create(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	await(t, "an artifact", func() error {
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(source), source); err != nil {
			return err
		}
		if source.Status.Artifact == nil {
			return fmt.Errorf("%v", conditions(source.Status.Conditions))
		}
		return nil
	})
}

func conditions(all []metav1.Condition) (found []string) {
	for _, c := range all {
		found = append(found, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return found
}

// wantStatus wants the user, no capability, and no way to either.
func wantStatus(t *testing.T, process string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(process, "status"))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSuffix(strings.Repeat(strconv.Itoa(user)+"\t", 4), "\t")
	none := strings.Repeat("0", 16)
	for _, want := range []string{"Uid:\t" + id, "Gid:\t" + id, "Groups:\t ", "CapEff:\t" + none, "CapPrm:\t" + none, "CapBnd:\t" + none, "CapAmb:\t" + none, "NoNewPrivs:\t1"} {
		if !strings.Contains(string(raw), want+"\n") {
			t.Errorf("expected %q, found %s", want, raw)
		}
	}
}

// wantMounts wants the volume to be the only place to write to.
func wantMounts(t *testing.T, process string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(process, "mountinfo"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		found[fields[4]], _, _ = strings.Cut(fields[5], ",")
	}
	if len(found) != 3 || found["/"] != "ro" || found["/data"] != "rw" || found["/proc"] != "rw" {
		t.Errorf("expected a root that is read only, a volume and /proc, found %v", found)
	}
}

// tree is all that is in a folder.
func tree(t *testing.T, folder string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintln(&list, strings.TrimPrefix(path, folder), info.Mode(), info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}
