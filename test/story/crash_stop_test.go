package story

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assay-dev/assay/test/registry"
)

// steps are what a process did at the API server, in order.
type steps struct {
	mu    sync.Mutex
	found []string
}

func (s *steps) note(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = append(s.found, step)
}

func (s *steps) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.found)
}

// A leader that is told to stop under load: a registry hangs, an event and a
// notification are under way, a download is. It writes the event, tells the
// receiver, gives up the Lease after both, lets the download end, and ends well.
func TestStoryStops(t *testing.T) {
	t.Parallel()
	p := newPair(t, false)
	receiver := newFlux(t)
	digest := p.push("app", "1.0.0", map[string]string{"large": noise(24 << 20)})
	p.sign("app", digest, "bundle", p.key)
	p.args = []string{"--events-addr", receiver.url}

	receiver.hang(true)
	done, held := &steps{}, make(chan struct{})
	p.api.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		switch {
		case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/apis/events.k8s.io/"):
			done.note("an event begins")
			<-held
			next.ServeHTTP(rw, r)
			done.note("an event is written")
			return
		case r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/leases/assay-controller"):
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			// Whatever its encoding, the identity of a holder ends in its address.
			if !bytes.Contains(body, []byte("_"+p.hosts[0])) {
				done.note("the Lease is given up")
			}
		}
		next.ServeHTTP(rw, r)
	})
	p.apply("app", p.spec("app", nil))
	p.start(0)
	obj := p.reached("1.0.0", 0)

	// A download, of which only the beginning is read for now.
	response, err := http.Get(obj.Status.Artifact.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	hash := sha256.New()
	if _, err := io.CopyN(hash, response.Body, 1000); err != nil {
		t.Fatal(err)
	}
	// A registry that hangs.
	hangs := make(chan struct{}, 100)
	p.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		hangs <- struct{}{}
		registry.Hang(rw, r, next)
	})
	p.apply("other", p.spec("other", nil))
	<-hangs
	p.awaitThat("an event and a notification are under way", func() bool {
		receiver.mu.Lock()
		defer receiver.mu.Unlock()
		return slices.Contains(done.all(), "an event begins") && receiver.asked > 0
	})

	asked := time.Now()
	if err := p.procs[0].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.awaitThat("it stops", func() bool { return strings.Contains(p.procs[0].log.String(), "Wait completed") })
	// Until the Lease is given up, it answers.
	if code := codeOf(obj.Status.Artifact.URL); code != http.StatusOK {
		t.Errorf("expected 200 before the Lease is given up, found %d", code)
	}
	close(held)
	receiver.hang(false)
	p.awaitThat("the Lease is given up", func() bool { return slices.Contains(done.all(), "the Lease is given up") })
	if !p.procs[0].alive() {
		t.Error("expected it to wait for the download")
	}
	if _, err := io.Copy(hash, response.Body); err != nil {
		t.Errorf("the download was cut: %v", err)
	}
	if found := "sha256:" + hex.EncodeToString(hash.Sum(nil)); found != obj.Status.Artifact.Digest {
		t.Errorf("expected %s, found %s", obj.Status.Artifact.Digest, found)
	}
	<-p.procs[0].ended
	if code := p.procs[0].cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("expected the exit code 0, found %d", code)
	}
	took := time.Since(asked)
	if took > 40*time.Second {
		t.Errorf("expected an end within 40 s, found %s", took)
	}
	t.Logf("ended after %s: %s", took, strings.Join(done.all(), ", "))
	all := done.all()
	if released := slices.Index(all, "the Lease is given up"); slices.Index(all, "an event is written") > released || slices.Contains(all[released:], "an event begins") {
		t.Errorf("expected the event before the Lease is given up, found %q", all)
	}
	if len(receiver.events()) != 1 || len(p.events("app")) != 1 {
		t.Errorf("expected one event at each, found %v and %v", receiver.events(), p.events("app"))
	}
}

// The log's level follows a file while the controller runs.
func TestStoryLogLevel(t *testing.T) {
	t.Parallel()
	p := newPair(t, false)
	file := filepath.Join(t.TempDir(), "level")
	p.args = []string{"--log-level", "warn", "--log-level-file", file}
	p.start(0)
	said := func(text string) func() bool {
		return func() bool { return strings.Contains(p.procs[0].log.String(), text) }
	}
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("debug\n")
	p.awaitThat("it is changed", said("to=DEBUG"))
	p.release("app", "1.0.0", "bundle")
	p.apply("app", p.spec("app", nil))
	p.awaitThat("what is published is logged", said("published 1.0.0"))
	write("loud")
	p.awaitThat("what is no level is complained about", said(`expected debug, info, warn or error, found \"loud\"`))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.awaitThat("it is as it was", said("to=WARN"))
}
