package story

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
)

// TestStoryCrash kills the built controller, which is a process of its own, at
// each step of a publication, and then at random points; meanwhile its registry
// gets new revisions, signed and unsigned. Whatever is served at any time is
// what its address says, no status loses its artifact or goes back, and what
// the next process leaves is as if nothing had happened.
//
// ASSAY_TEST_CRASH_ROUNDS is how many random points are tried (10 unless it is
// set), and ASSAY_TEST_CRASH_SEED repeats those of an earlier run.
func TestStoryCrash(t *testing.T) {
	t.Parallel()
	seed := fromEnvironment(t, "ASSAY_TEST_CRASH_SEED", int(time.Now().UnixNano()%1e9))
	rounds := fromEnvironment(t, "ASSAY_TEST_CRASH_ROUNDS", 10)
	t.Logf("ASSAY_TEST_CRASH_SEED=%d ASSAY_TEST_CRASH_ROUNDS=%d", seed, rounds)
	random := rand.New(rand.NewPCG(uint64(seed), 1)) //nolint:gosec // not for secrets
	m := newMortal(t)

	for _, d := range deaths() {
		m.live()
		m.release()
		reached := m.dieAt(d)
		t.Logf("%s: reached %t", d.name, reached)
		if !reached && !d.fleeting {
			t.Errorf("%s: the controller never came to this step", d.name)
		}
		m.afterDeath(d.name)
	}
	for n := range rounds {
		// At work, or, every other time, while it still makes up for the last
		// death.
		m.start()
		if n%2 == 0 {
			m.live()
		}
		if n%3 == 0 {
			m.push()
		}
		m.release()
		m.ask()
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		m.process.kill()
		m.afterDeath(fmt.Sprintf("round %d", n))
	}
	m.live()
	if m.visitor.visits() == 0 {
		t.Error("the test is blind: expected downloads, found none")
	}
}

func fromEnvironment(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: expected a number, found %q", variable, text)
	}
	return n
}

// death is a step at which the controller is killed.
type death struct {
	name string
	// arm sets up that kill is called, any number of times, when the controller
	// comes to the step.
	arm func(m *mortal, kill func())
	// fleeting steps may be over before the test sees them.
	fleeting bool
}

func deaths() []death {
	list := []death{
		{name: "HEAD of the tag", arm: atRequest("HEAD", registry.KindManifests, before)},
		{name: "answer to HEAD of the tag", arm: atRequest("HEAD", registry.KindManifests, after)},
		{name: "GET of the referrers", arm: atRequest("GET", registry.KindReferrers, before)},
		{name: "GET of a manifest", arm: atRequest("GET", registry.KindManifests, before)},
		{name: "GET of a blob", arm: atRequest("GET", registry.KindBlobs, before)},
		{name: "first byte of a blob", arm: atRequest("GET", registry.KindBlobs, cutAt(1))},
		{name: "middle of a large blob", arm: atRequest("GET", registry.KindBlobs, cutAt(large/2))},
		{name: "status before it is patched", arm: atPatch(before)},
		{name: "status after it is patched, before the answer", arm: atPatch(after)},
		{name: "event", arm: func(m *mortal, kill func()) {
			m.api.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/events") {
					before(rw, r, next, kill)
					return
				}
				next.ServeHTTP(rw, r)
			})
		}},
	}
	for _, file := range []string{
		"tmp/*/*", "tmp/*/*/spool", "tmp/*/*/archive", "tmp/*/*/signatures",
		"modulesource/*/*/*.signatures.json", "modulesource/*/*/*.tar.gz",
	} {
		list = append(list, death{name: "file " + file, fleeting: true, arm: func(m *mortal, kill func()) { m.killAtFile(file, kill) }})
	}
	return list
}

// A moment is what happens to the request at which the controller dies.
type moment func(rw http.ResponseWriter, r *http.Request, next http.Handler, kill func())

// before kills before the request is passed on.
func before(_ http.ResponseWriter, _ *http.Request, _ http.Handler, kill func()) {
	kill()
	panic(http.ErrAbortHandler)
}

// after kills when the request has had its effect, and before the answer.
func after(_ http.ResponseWriter, r *http.Request, next http.Handler, kill func()) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	kill()
	panic(http.ErrAbortHandler)
}

// cutAt kills after so many bytes of an answer that has more.
func cutAt(n int) moment {
	return func(rw http.ResponseWriter, r *http.Request, next http.Handler, kill func()) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			rw.Header()[name] = values
		}
		rw.WriteHeader(answer.Code)
		body := answer.Body.Bytes()
		if len(body) <= n {
			_, _ = rw.Write(body)
			return
		}
		_, _ = rw.Write(body[:n])
		_ = http.NewResponseController(rw).Flush()
		kill()
		panic(http.ErrAbortHandler)
	}
}

func atRequest(method, kind string, at moment) func(*mortal, func()) {
	return func(m *mortal, kill func()) {
		m.registry.Intercept(registry.On(method, kind, func(rw http.ResponseWriter, r *http.Request, next http.Handler) { at(rw, r, next, kill) }))
	}
}

func atPatch(at moment) func(*mortal, func()) {
	return func(m *mortal, kill func()) {
		m.api.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			if isStatusPatch(r) {
				at(rw, r, next, kill)
				return
			}
			next.ServeHTTP(rw, r)
		})
	}
}

func isStatusPatch(r *http.Request) bool {
	return r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/modulesources/") && strings.HasSuffix(r.URL.Path, "/status")
}

// mortal is a world whose controller is a process that is killed.
type mortal struct {
	*world
	api     *apiProxy
	config  string
	host    string // of the artifact server
	process *process
	visitor *visitor

	mu      sync.Mutex
	signed  map[string][]string // the revisions of each ModuleSource, in order
	reached map[string]int      // the index of the newest of them that a status named
	pushed  int
}

// large is the size of the first ModuleSource's modules, in bytes.
const large = 1 << 20

// formats are the ModuleSources and how their modules are signed.
var formats = map[string]string{"large": "bundle", "small": "cosign", "other": "bundle"}

func newMortal(t *testing.T) *mortal {
	t.Helper()
	w := newWorld(t, settings{})
	w.stopController()
	m := &mortal{world: w, api: newAPIProxy(t, kubeconfig), host: freeAddress(t), signed: map[string][]string{}, reached: map[string]int{}}
	m.config = m.api.kubeconfig(t)
	m.visitor = newVisitor(t, m.host, w.storage)
	m.release()
	for name := range formats {
		w.apply(name, w.spec(name, nil))
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			m.look()
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-ended
	})
	return m
}

// start starts the controller unless it is running.
func (m *mortal) start() {
	m.t.Helper()
	if m.process != nil && m.process.alive() {
		return
	}
	m.process = startProcess(m.t, m.config, "--storage-path", m.storage, "--storage-addr", m.host, "--metrics-addr", "0", "--health-addr", "0",
		"--watch-namespaces", m.namespace, "--artifact-retention", "1h", "--log-format", "text")
}

// release pushes and signs the next revision of each module.
func (m *mortal) release() {
	m.t.Helper()
	m.pushed++
	for name, format := range formats {
		version := fmt.Sprintf("1.0.%d", m.pushed)
		digest := m.pushVersion(name, version)
		m.mu.Lock() // Before it is signed: from then on it may be published.
		m.signed[name] = append(m.signed[name], version+"@"+digest)
		m.mu.Unlock()
		m.sign(name, digest, format, m.key)
	}
}

// push pushes the next revision of each module, without a signature.
func (m *mortal) push() {
	m.t.Helper()
	m.pushed++
	for name := range formats {
		m.pushVersion(name, fmt.Sprintf("1.0.%d", m.pushed))
	}
}

func (m *mortal) pushVersion(name, version string) string {
	m.t.Helper()
	content := version
	if name == "large" {
		content += noise(large)
	}
	return m.pushAs(name, version, module.Options{Version: version, Files: map[string]string{"a": content}})
}

// ask asks for a poll of every ModuleSource.
func (m *mortal) ask() {
	for name := range formats {
		m.world.ask(name)
	}
}

// dieAt lets the controller work until it has come to the step, and reports
// whether it did.
func (m *mortal) dieAt(d death) bool {
	m.t.Helper()
	p, died := m.process, make(chan struct{})
	var once sync.Once
	d.arm(m, func() {
		p.kill()
		once.Do(func() { close(died) })
	})
	m.ask()
	reached := make(chan bool, 1)
	go func() {
		select {
		case <-died:
			reached <- true
		case <-time.After(patience):
			reached <- false
		}
	}()
	if d.fleeting {
		// It may have missed it, and be done.
		for {
			select {
			case <-died:
			default:
				if !m.done() {
					time.Sleep(10 * time.Millisecond)
					continue
				}
			}
			break
		}
		select {
		case <-died:
			return <-reached
		default:
			p.kill()
			once.Do(func() { close(died) })
			<-reached
			return false
		}
	}
	return <-reached
}

// killAtFile kills as soon as there is a file of that pattern that is not there
// yet.
func (m *mortal) killAtFile(pattern string, kill func()) {
	known := map[string]bool{}
	find := func() (found bool) {
		matches, _ := filepath.Glob(filepath.Join(m.storage, pattern)) // The patterns are good.
		for _, match := range matches {
			found = found || !known[match]
			known[match] = true
		}
		return found
	}
	find()
	p := m.process
	go func() {
		for p.alive() {
			if find() {
				kill()
				return
			}
			time.Sleep(20 * time.Microsecond)
		}
	}()
}

// afterDeath takes the traps away, and looks at what is left on the disk.
func (m *mortal) afterDeath(when string) {
	m.t.Helper()
	m.registry.Intercept(nil)
	m.api.Intercept(nil)
	<-m.process.ended
	m.checkDisk(when)
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// checkDisk expects each archive in place to be whole, and to have its
// signatures.
func (m *mortal) checkDisk(when string) {
	m.t.Helper()
	for _, file := range archivesBelow(m.storage) {
		content, err := os.ReadFile(file)
		if err != nil {
			m.t.Fatal(err)
		}
		digest := sha256.Sum256(content)
		name, _ := strings.CutSuffix(file, ".tar.gz")
		if found := hex.EncodeToString(digest[:]); found != filepath.Base(name) {
			m.t.Errorf("%s: %s is %s", when, file, found)
		}
		if _, err := os.Stat(name + ".signatures.json"); err != nil {
			m.t.Errorf("%s: %v", when, err)
		}
	}
}

// look compares each status with what was signed, and with what it was before.
func (m *mortal) look() {
	var list v1alpha1.ModuleSourceList
	if err := kube.List(background, &list, client.InNamespace(m.namespace)); err != nil {
		m.t.Errorf("listing: %v", err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range list.Items {
		obj := &list.Items[i]
		before, had := m.reached[obj.Name]
		if obj.Status.Artifact == nil {
			if had {
				m.t.Errorf("%s: lost its artifact", obj.Name)
			}
			continue
		}
		m.visitor.tell(obj.Status.Artifact.Path)
		now := slices.Index(m.signed[obj.Name], obj.Status.Artifact.Revision)
		if now < 0 || now < before {
			m.t.Errorf("%s: expected one of %q from %d on, found %s", obj.Name, m.signed[obj.Name], before, obj.Status.Artifact.Revision)
		}
		m.reached[obj.Name] = now
	}
}

// done reports whether each status names what was signed last.
func (m *mortal) done() bool {
	for name := range formats {
		if !m.newest(m.get(name)) {
			return false
		}
	}
	return true
}

func (m *mortal) newest(obj *v1alpha1.ModuleSource) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	revisions := m.signed[obj.Name]
	return obj.Status.Artifact != nil && obj.Status.Artifact.Revision == revisions[len(revisions)-1]
}

// live starts the controller if it is dead, waits until it has made up for
// everything, and compares status and disk.
func (m *mortal) live() {
	m.t.Helper()
	m.start()
	m.ask()
	want := map[string]bool{}
	for name := range formats {
		obj := m.await(name, "the newest signed revision is published", func(obj *v1alpha1.ModuleSource) bool {
			if !m.process.alive() {
				m.t.Fatalf("the controller ended by itself")
			}
			return m.newest(obj) && is(obj, "ArtifactInStorage") == "True/ArtifactPublished" &&
				obj.Status.LastHandledReconcileAt == obj.Annotations["reconcile.fluxcd.io/requestedAt"]
		})
		code, body := download(m.t, obj.Status.Artifact.URL)
		if digest := sha256.Sum256(body); code != http.StatusOK || obj.Status.Artifact.Digest != "sha256:"+hex.EncodeToString(digest[:]) {
			m.t.Errorf("%s: expected %s, found %d with %d bytes", name, obj.Status.Artifact.Digest, code, len(body))
		}
		want[obj.Status.Artifact.Path] = true
	}
	m.checkDisk("alive")
	// What is not superseded is what the statuses name.
	found := map[string]bool{}
	for _, file := range archivesBelow(m.storage) {
		info, err := os.Stat(file)
		if err != nil {
			m.t.Fatal(err)
		}
		if path, err := filepath.Rel(m.storage, file); err == nil && info.ModTime().Equal(time.Unix(0, 0)) {
			found[path] = true
		}
	}
	for path := range want {
		if !found[path] {
			m.t.Errorf("%s: expected to be there and not superseded", path)
		}
	}
	for path := range found {
		if !want[path] {
			m.t.Errorf("%s: expected to be superseded, as no status names it", path)
		}
	}
	m.awaitThat("the work of dead processes is cleared", func() bool {
		return len(filesBelow(filepath.Join(m.storage, "tmp"))) == 0
	})
	if m.t.Failed() {
		m.t.FailNow()
	}
}
