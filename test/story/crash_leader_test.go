package story

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/registry"
)

// pair is a world with two processes, of which the one that holds the Lease
// works.
type pair struct {
	*world
	api *apiProxy
	// second stands between the second one and the API server.
	second *apiProxy
	hosts  [2]string
	disks  [2]string
	procs  [2]*process
	args   []string // more of them
}

func newPair(t *testing.T, shared bool) *pair {
	t.Helper()
	w := newWorld(t, settings{})
	w.stopController()
	p := &pair{world: w, api: newAPIProxy(t, kubeconfig), second: newAPIProxy(t, kubeconfig), hosts: [2]string{freeAddress(t), freeAddress(t)}, disks: [2]string{w.storage, w.storage}}
	if !shared {
		p.disks[1] = t.TempDir()
	}
	for i := range p.disks {
		newVisitor(t, p.hosts[i], p.disks[i])
	}
	return p
}

// start starts one of them, each of which speaks through its own proxy.
func (p *pair) start(i int) {
	p.t.Helper()
	config := []*apiProxy{p.api, p.second}[i].kubeconfig(p.t)
	p.procs[i] = startProcess(p.t, config, append([]string{"--storage-path", p.disks[i], "--storage-addr", p.hosts[i], "--metrics-addr", "0", "--health-addr", "0",
		"--watch-namespaces", p.namespace, "--artifact-retention", "1h", "--log-format", "text",
		"--leader-elect", "--leader-election-namespace", p.namespace, "--pod-ip", "127.0.0.1"}, p.args...)...)
}

// reached waits until the status names that version, with an address of that
// process, and downloads it.
func (p *pair) reached(version string, i int) *v1alpha1.ModuleSource {
	p.t.Helper()
	obj := p.await("app", version+" is served by the right one", func(obj *v1alpha1.ModuleSource) bool {
		a := obj.Status.Artifact
		return a != nil && strings.HasPrefix(a.Revision, version+"@") && strings.Contains(a.URL, p.hosts[i]) && is(obj, "Ready") == "True/SignatureVerified"
	})
	p.awaitThat("it is there", func() bool { code, _ := download(p.t, obj.Status.Artifact.URL); return code == http.StatusOK })
	p.whole("app")
	return obj
}

// A leader is paused in the middle of a publication, as a machine may be, until
// another has taken over and gone on; or it is killed there. What it does when
// it wakes up, with the Lease lost, does not last.
func TestStoryLeaderChange(t *testing.T) {
	t.Parallel()
	atBlob := func(p *pair, stop func()) {
		p.registry.Intercept(registry.On("GET", registry.KindBlobs, func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			stop()
			next.ServeHTTP(rw, r)
		}))
	}
	// The report is passed on all the same: it names the address of the first.
	atReport := func(p *pair, stop func()) {
		p.api.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			if isStatusPatch(r) {
				stop()
			}
			next.ServeHTTP(rw, r)
		})
	}
	for name, c := range map[string]struct {
		arm            func(p *pair, stop func())
		shared, killed bool
	}{
		"paused at a blob, separate disks": {arm: atBlob},
		"paused at its report, one disk":   {arm: atReport, shared: true},
		"killed at a blob, one disk":       {arm: atBlob, shared: true, killed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, c.shared)
			p.release("app", "1.0.0", "bundle")
			p.apply("app", p.spec("app", often))
			p.start(0)
			p.reached("1.0.0", 0)
			p.start(1)
			p.awaitThat("the second waits", func() bool { return strings.Contains(p.procs[1].log.String(), "leader lease") })

			stopped := make(chan struct{}, 100)
			c.arm(p, func() {
				if c.killed {
					p.procs[0].kill()
				} else if err := p.procs[0].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
					t.Error(err)
				}
				stopped <- struct{}{}
			})
			p.release("app", "1.1.0", "bundle")
			<-stopped
			p.registry.Intercept(nil)
			p.api.Intercept(nil)
			p.reached("1.1.0", 1)
			p.release("app", "1.2.0", "bundle")
			p.reached("1.2.0", 1)
			if !c.killed {
				if err := p.procs[0].cmd.Process.Signal(syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
				<-p.procs[0].ended // It has lost its Lease.
			}
			p.reached("1.2.0", 1)
			p.release("app", "1.3.0", "bundle")
			p.reached("1.3.0", 1)
		})
	}
}
