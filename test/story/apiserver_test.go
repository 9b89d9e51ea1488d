package story

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/controlplane"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// mainland is a world with a control plane of its own, that can die and be set
// back, and with the built controller.
type mainland struct {
	*world   // for its registry; its methods that ask the API server are not for here
	machines *controlplane.Machines
	kube     client.Client
	config   string
	host     string // of the artifact server
	process  *process
	visitor  *visitor
	args     []string
}

func newMainland(t *testing.T, args ...string) *mainland {
	t.Helper()
	server, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	folder := t.TempDir()
	machines, err := controlplane.NewMachines(background, folder, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(machines.Stop)
	m := &mainland{
		world:    &world{t: t, namespace: "default", registry: server, storage: t.TempDir(), key: newKey(t, signing.ECDSAP256)},
		machines: machines, host: freeAddress(t), args: args, config: filepath.Join(folder, "kubeconfig"),
	}
	if m.kube, err = client.New(machines.Config, client.Options{Scheme: controllers.NewScheme()}); err != nil {
		t.Fatal(err)
	}
	if err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: machines.Config.Host, CertificateAuthority: machines.Config.CAFile}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: machines.Config.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x",
	}, m.config); err != nil {
		t.Fatal(err)
	}
	m.until("there is a namespace", func() bool {
		return m.kube.Get(background, client.ObjectKey{Name: m.namespace}, &corev1.Namespace{}) == nil
	})
	m.visitor = newVisitor(t, m.host, m.storage)
	m.run()
	return m
}

// run starts the controller.
func (m *mainland) run() {
	m.t.Helper()
	m.process = startProcess(m.t, m.config, append([]string{
		"--storage-path", m.storage, "--storage-addr", m.host, "--metrics-addr", "0", "--health-addr", "0",
		"--artifact-retention", "1h", "--log-format", "text",
	}, m.args...)...)
}

func (m *mainland) until(what string, ok func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("waited %s until %s", patience, what)
		}
	}
}

func (m *mainland) source(name string, edit func(*v1alpha1.ModuleSourceSpec)) {
	m.t.Helper()
	obj := &v1alpha1.ModuleSource{ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: name}, Spec: m.spec(name, edit)}
	if err := m.kube.Create(background, obj); err != nil {
		m.t.Fatal(err)
	}
}

// reached waits until a ModuleSource names that version, and is ready; "" is
// for a status without an artifact.
func (m *mainland) reached(name, version string) *v1alpha1.ModuleSource {
	m.t.Helper()
	obj := &v1alpha1.ModuleSource{}
	m.until(name+" is at "+version, func() bool {
		if err := m.kube.Get(background, client.ObjectKey{Namespace: m.namespace, Name: name}, obj); err != nil {
			return false
		}
		if version == "" {
			return len(obj.Status.Conditions) > 0 && obj.Status.Artifact == nil
		}
		return obj.Status.Artifact != nil && strings.HasPrefix(obj.Status.Artifact.Revision, version+"@") && is(obj, "Ready") == "True/SignatureVerified"
	})
	return obj
}

func (m *mainland) served(url string) bool {
	response, err := http.Get(url)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// often has a source polled every few seconds.
func often(s *v1alpha1.ModuleSourceSpec) { s.Interval.Duration = 5 * time.Second }

// An API server that is away takes nothing from the artifact server, and what
// was published meanwhile is reported when it is back.
func TestStoryAPIServerIsAway(t *testing.T) {
	t.Parallel()
	m := newMainland(t)
	m.release("app", "1.0.0", "bundle")
	m.source("app", often)
	url := m.reached("app", "1.0.0").Status.Artifact.URL
	m.machines.KillAPIServer()
	m.release("app", "1.1.0", "bundle")
	m.until("1.1.0 is on the disk", func() bool { return len(archivesBelow(m.storage)) == 2 })
	// The report was tried, and failed.
	m.until("the controller complains", func() bool { return strings.Contains(m.process.log.String(), "patching the status") })
	if !m.served(url) || !m.process.alive() {
		t.Error("expected 1.0.0 to be served all the while")
	}
	if err := m.machines.StartAPIServer(background); err != nil {
		t.Fatal(err)
	}
	after := m.reached("app", "1.1.0")
	if !m.served(after.Status.Artifact.URL) || !m.served(url) {
		t.Error("expected both to be served")
	}
}

// A leader that cannot renew its Lease ends, and is started again.
func TestStoryAPIServerIsAwayFromTheLeader(t *testing.T) {
	t.Parallel()
	m := newMainland(t, "--leader-elect", "--leader-election-namespace", "default")
	m.release("app", "1.0.0", "cosign")
	m.source("app", often)
	url := m.reached("app", "1.0.0").Status.Artifact.URL
	m.machines.KillAPIServer()
	m.release("app", "1.1.0", "cosign")
	m.until("1.1.0 is on the disk", func() bool { return len(archivesBelow(m.storage)) == 2 })
	if !m.served(url) {
		t.Error("expected 1.0.0 to be served until the Lease is lost")
	}
	m.until("the leader gives up", func() bool { return !m.process.alive() })
	if code := m.process.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("expected an error that the kubelet sees, found exit code %d", code)
	}
	// Without an API server it does not become leader, and what is on the disk is
	// served.
	if err := m.machines.StartAPIServer(background); err != nil {
		t.Fatal(err)
	}
	m.run()
	after := m.reached("app", "1.1.0")
	if !m.served(after.Status.Artifact.URL) {
		t.Error("expected it to be served")
	}
}

// etcd comes back older, and the registry does not talk: what no status names
// any more is not served for ever, what one names is, and all is made up for
// when the registry is back.
func TestStoryEtcdIsRestored(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"under a controller that runs": false, "while no controller runs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMainland(t)
			m.release("app", "1.0.0", "bundle")
			m.source("app", nil)
			m.reached("app", "1.0.0")
			m.push("fresh", "1.0.0", nil)
			m.source("fresh", often)
			m.reached("fresh", "")
			saved := filepath.Join(t.TempDir(), "etcd")
			if err := m.machines.Save(background, saved); err != nil {
				t.Fatal(err)
			}

			m.release("fresh", "1.1.0", "bundle")
			fresh := m.reached("fresh", "1.1.0").Status.Artifact
			m.release("late", "1.0.0", "bundle")
			m.source("late", nil)
			late := m.reached("late", "1.0.0").Status.Artifact
			m.release("app", "1.1.0", "bundle")
			app := &v1alpha1.ModuleSource{}
			m.until("a poll is asked for", func() bool {
				if err := m.kube.Get(background, client.ObjectKey{Namespace: m.namespace, Name: "app"}, app); err != nil {
					return false
				}
				metav1.SetMetaDataAnnotation(&app.ObjectMeta, "reconcile.fluxcd.io/requestedAt", "now")
				return m.kube.Update(background, app) == nil
			})
			m.reached("app", "1.1.0")

			m.registry.Down()
			if restart {
				m.process.kill()
			}
			if err := m.machines.Restore(background, saved); err != nil {
				t.Fatal(err)
			}
			if !restart {
				// Its watches would wait for ever: it ends, and the kubelet starts
				// it again.
				m.until("the controller notices", func() bool { return !m.process.alive() })
				if log := m.process.log.String(); !strings.Contains(log, "the API server was set back") {
					t.Errorf("expected it to say why it ends, found %s", log)
				}
			}
			m.run()
			m.until("what no object owns goes", func() bool { return !m.served(late.URL) && !m.served(fresh.URL) && m.up() })
			for _, path := range []string{late.Path, fresh.Path} {
				m.until("its file goes", func() bool {
					_, err := os.Stat(filepath.Join(m.storage, filepath.FromSlash(path)))
					return os.IsNotExist(err)
				})
			}
			before := &v1alpha1.ModuleSource{}
			if err := m.kube.Get(background, client.ObjectKey{Namespace: m.namespace, Name: "app"}, before); err != nil {
				t.Fatal(err)
			}
			if a := before.Status.Artifact; a == nil || !strings.HasPrefix(a.Revision, "1.0.0@") || !m.served(a.URL) {
				t.Errorf("expected 1.0.0 to be named and served, found %s", describe(before))
			}
			up(t, m.registry)
			m.reached("app", "1.1.0")
			if !m.served(m.reached("fresh", "1.1.0").Status.Artifact.URL) {
				t.Error("expected it to be served again")
			}
			m.source("late", nil)
			m.reached("late", "1.0.0")
		})
	}
}

// up reports whether the artifact server answers at all.
func (m *mainland) up() bool {
	response, err := http.Get("http://" + m.host + "/")
	if err != nil {
		return false
	}
	response.Body.Close()
	return true
}
