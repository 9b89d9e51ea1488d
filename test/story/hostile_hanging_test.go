package story

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// readyWithin is the promise: with a hundred registries that hang, a hundred
// ModuleSources of others are Ready within it. ASSAY_READY_WITHIN changes it for
// machines that have other things to do.
func readyWithin(t *testing.T) time.Duration {
	t.Helper()
	text, ok := os.LookupEnv("ASSAY_READY_WITHIN")
	if !ok {
		return 30 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// hanging are ways of a registry to keep whoever asks waiting. Each tells when
// it has begun to.
var hanging = map[string]func(t *testing.T, begun func()) (host string){
	"never answers": func(t *testing.T, begun func()) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				begun()
				go func() {
					_, _ = io.Copy(io.Discard, connection)
					_ = connection.Close()
				}()
			}
		}()
		return listener.Addr().String()
	},
	"hangs in a blob": func(t *testing.T, begun func()) string {
		return serving(t, signedElsewhere(func(http.ResponseWriter) {
			begun()
		}))
	},
	"a byte a second": func(t *testing.T, begun func()) string {
		return serving(t, signedElsewhere(func(w http.ResponseWriter) {
			begun()
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
		}))
	},
	"much, and then nothing": func(t *testing.T, begun func()) string {
		return serving(t, signedElsewhere(func(w http.ResponseWriter) {
			_, _ = w.Write(make([]byte, 1<<20))
			_ = http.NewResponseController(w).Flush()
			begun()
		}))
	},
}

func serving(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return strings.TrimPrefix(server.URL, "http://")
}

// signedElsewhere has one tag, whose digest has one signature, whose blob begins
// with what begin writes, and goes on with a byte a second.
func signedElsewhere(begin func(http.ResponseWriter)) http.Handler {
	digest := "sha256:" + strings.Repeat("a", 64)
	signatures := `{"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","digest":"` + digest + `","size":4000000}]}`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v2/":
		case r.Method == http.MethodHead:
			w.Header().Set("Docker-Content-Digest", digest)
		case strings.HasSuffix(r.URL.Path, ".sig"):
			_, _ = io.WriteString(w, signatures)
		case strings.Contains(r.URL.Path, "/blobs/"):
			begin(w)
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-r.Context().Done():
					return
				case <-tick.C:
					_, _ = io.WriteString(w, " ")
					_ = http.NewResponseController(w).Flush()
				}
			}
		default:
			http.NotFound(w, r)
		}
	})
}

// TestHangingRegistriesDelayNoOther has a hundred registries that hang, each in
// the same way, and default settings. A hundred ModuleSources of other registries
// are Ready soon, and a change of trust is judged meanwhile.
func TestHangingRegistriesDelayNoOther(t *testing.T) {
	const many = 100
	for name, hang := range hanging {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, settings{options: func(o *controllers.Options) { o.Concurrent = 8 }})
			timeout := func(s *v1alpha1.ModuleSourceSpec) { s.Timeout = metav1.Duration{Duration: 10 * time.Minute} }
			var asked atomic.Int64
			for i := range many {
				host := hang(t, sync.OnceFunc(func() { asked.Add(1) }))
				w.apply(fmt.Sprintf("hanging-%d", i), w.spec("app", func(s *v1alpha1.ModuleSourceSpec) {
					s.URL, s.Version = "oci://"+host+"/app", "1.0.0"
					timeout(s)
				}))
			}
			// Those that send much wait for one another with it.
			w.await("hanging-0", "all hanging registries are asked", func(*v1alpha1.ModuleSource) bool {
				return asked.Load() == many
			})

			healthy := []*registry.Server{w.registry}
			for range 3 {
				other, err := registry.Referrers(registry.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = other.Close() })
				healthy = append(healthy, other)
			}
			for _, server := range healthy {
				signAt(t, server, "app", pushTo(t, server, "app"), "bundle", w.key)
			}
			begun := time.Now()
			for i := range many {
				w.apply(fmt.Sprintf("healthy-%d", i), w.spec("app", func(s *v1alpha1.ModuleSourceSpec) {
					s.URL, s.Version = "oci://"+healthy[i%len(healthy)].Host()+"/app", "1.0.0"
					timeout(s)
				}))
			}
			w.readyTogether("healthy-", many, begun.Add(readyWithin(t)))
			took := time.Since(begun)
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			status, _ := os.ReadFile("/proc/self/statm")
			t.Logf("%d are Ready after %s; heap in use %d MiB, %d goroutines, statm (pages) %s", many, took.Round(time.Millisecond), memory.HeapInuse>>20, runtime.NumGoroutine(), status)

			w.edit("healthy-0", func(s *v1alpha1.ModuleSourceSpec) {
				s.Verify.Authorities = []v1alpha1.Authority{inline("another", newKey(t, signing.ECDSAP256))}
			})
			wantConditions(t, w.settled("healthy-0"), map[string]string{"Verified": "False/KeyMismatch"})
			for i := range many {
				if obj := w.get(fmt.Sprintf("hanging-%d", i)); obj.Status.ObservedGeneration == obj.Generation {
					t.Errorf("hanging-%d: expected no answer yet, found %s", i, describe(obj))
				}
			}
		})
	}
}

// readyTogether waits until n ModuleSources whose names begin with prefix are
// Ready.
func (w *world) readyTogether(prefix string, n int, until time.Time) {
	w.t.Helper()
	for {
		var list v1alpha1.ModuleSourceList
		if err := kube.List(background, &list, client.InNamespace(w.namespace)); err != nil {
			w.t.Fatal(err)
		}
		ready := 0
		for i := range list.Items {
			if obj := &list.Items[i]; strings.HasPrefix(obj.Name, prefix) && is(obj, "Ready") == "True/SignatureVerified" {
				ready++
			}
		}
		if ready == n {
			return
		}
		if time.Now().After(until) {
			w.t.Fatalf("expected %d ModuleSources to be Ready by now, found %d", n, ready)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
