package story

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/signing"
)

// requests are those of a process to the API server, as "<method> <resource>".
type requests struct {
	mu    sync.Mutex
	found map[string]int
}

func (c *requests) count(rw http.ResponseWriter, r *http.Request, next http.Handler) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	c.mu.Lock()
	if c.found == nil {
		c.found = map[string]int{}
	}
	c.found[r.Method+" "+parts[len(parts)-1]]++
	c.mu.Unlock()
	next.ServeHTTP(rw, r)
}

func (c *requests) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.found
	c.found = map[string]int{}
	return taken
}

// The second replica serves what the first has, without a request more to the
// API server. When the first is killed, it says that nothing is to be had for
// the moment, at once and never that it does not exist, until it has taken over
// and rebuilt it. What is withdrawn is not found at either.
func TestStoryFollowerServes(t *testing.T) {
	t.Parallel()
	p := newPair(t, false)
	p.release("app", "1.0.0", "bundle")
	p.apply("app", p.spec("app", nil))
	p.start(0)
	path := strings.TrimPrefix(p.reached("1.0.0", 0).Status.Artifact.URL, "http://"+p.hosts[0])
	direct := func() int { return codeOf("http://" + p.hosts[0] + path) }
	through := func() int { return codeOf("http://" + p.hosts[1] + path) }

	second := &requests{}
	p.second.Intercept(second.count)
	p.start(1)
	p.awaitThat("the second passes it on", func() bool { return through() == http.StatusOK })

	second.take()
	begun := time.Now()
	for range 100 {
		if code := through(); code != http.StatusOK {
			t.Fatalf("expected 200, found %d", code)
		}
	}
	p.awaitThat("the second looks at the Lease", func() bool { return time.Since(begun) > 5*time.Second })
	asked := second.take()
	// Every 2 seconds at the most, as ever.
	if looks := asked["GET assay-controller"]; looks < 1 || looks > int(time.Since(begun)/(2*time.Second))+1 || len(asked) != 1 {
		t.Errorf("expected a look at the Lease each 2 s and nothing else in %s, found %v", time.Since(begun), asked)
	}

	// Nothing can be rebuilt for a while.
	held := make(chan struct{})
	p.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-held:
			next.ServeHTTP(rw, r)
		case <-r.Context().Done():
		}
	})
	p.procs[0].kill()
	killed := time.Now()
	refused := func() {
		t.Helper()
		asked := time.Now()
		if code := through(); code != http.StatusServiceUnavailable {
			t.Errorf("expected 503, found %d", code)
		}
		if took := time.Since(asked); took > 3*time.Second {
			t.Errorf("expected an answer at once, found it after %s", took)
		}
	}
	p.awaitThat("the second takes over", func() bool {
		refused()
		return strings.Contains(p.procs[1].log.String(), "acquired lease")
	})
	t.Logf("taken over after %s", time.Since(killed))
	for range 20 {
		refused()
	}
	close(held)
	p.awaitThat("it is served again", func() bool {
		code := through()
		if code != http.StatusOK && code != http.StatusServiceUnavailable {
			t.Errorf("expected 200 or 503, found %d", code)
		}
		return code == http.StatusOK
	})
	t.Logf("served again after %s", time.Since(killed))
	p.reached("1.0.0", 1)

	p.start(0)
	p.awaitThat("the first passes it on", func() bool { return direct() == http.StatusOK })
	p.edit("app", func(s *v1alpha1.ModuleSourceSpec) {
		s.Verify.Authorities[0] = inline("release-key", newKey(t, signing.ECDSAP256))
	})
	p.awaitThat("it is withdrawn", func() bool { return through() == http.StatusNotFound })
	if code := direct(); code != http.StatusNotFound {
		t.Errorf("expected what is withdrawn not to be found, found %d", code)
	}
}

// codeOf is the status of an answer; 0 where there is none.
func codeOf(url string) int {
	response, err := http.Get(url)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}
