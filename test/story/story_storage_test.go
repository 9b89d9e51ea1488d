package story

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
)

// durable is a world whose artifacts keep their address when the controller
// starts again.
func durable(t *testing.T, s settings) *world {
	t.Helper()
	addr, edit := freeAddress(t), s.options
	s.options = func(o *controllers.Options) {
		o.StorageAddr = addr
		if edit != nil {
			edit(o)
		}
	}
	return newWorld(t, s)
}

// eachDurable runs a test once with each kind of registry, in a durable world.
func eachDurable(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, durable(t, settings{kind: kind}))
		})
	}
}

// heard waits for that many events: those that are under way when a controller
// stops may be lost.
func (w *world) heard(name string, n int) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); len(w.events(name)) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited %s for %d events of %s, found %v", patience, n, name, w.events(name))
		}
	}
}

// freeAddress is one below the range that the system gives out by itself.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(10000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// stored are the files in the world's storage.
func (w *world) stored() []string {
	w.t.Helper()
	var files []string
	err := filepath.WalkDir(w.storage, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return nil // What is removed meanwhile is not there.
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return files
}

func (w *world) awaitFiles(what string, ok func(files []string) bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		files := w.stored()
		if ok(files) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("waited %s until %s, found %q", patience, what, files)
		}
	}
}

func nothing(files []string) bool { return len(files) == 0 }

func object(w *world, name string) *v1alpha1.ModuleSource {
	return &v1alpha1.ModuleSource{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
}

// What belongs to a deleted object goes from the disk and from the server, and
// nothing else does.
func TestStoryDeletion(t *testing.T) {
	t.Parallel()
	w := durable(t, settings{})
	digest := w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", nil))
	url := w.ready("app").Status.Artifact.URL
	w.apply("other", w.spec("app", nil))
	w.expect(w.ready("other"), w.released("1.0.0", digest))

	w.delete(object(w, "app"))
	w.awaitFiles("only the other's files are there", func(files []string) bool { return len(files) == 2 })
	w.gone(url)
	w.expect(w.again("other"), w.released("1.0.0", digest))

	// While no controller runs: swept at the next start.
	other := w.get("other").Status.Artifact.URL
	w.stopController()
	w.delete(object(w, "other"))
	if nothing(w.stored()) {
		t.Fatal("expected the files to be there while no controller runs")
	}
	w.start()
	w.awaitFiles("nothing is there", nothing)
	w.gone(other)
}

// A deleted object that is made anew begins anew.
func TestStoryDeletedAndMadeAnew(t *testing.T) {
	t.Parallel()
	w := durable(t, settings{})
	w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", nil))
	url := w.ready("app").Status.Artifact.URL
	w.delete(object(w, "app"))
	unsigned := w.push("app", "1.0.1", nil)
	w.apply("app", w.spec("app", nil))
	w.expect(w.settled("app"), expectation{conditions: refused("NoSignature"), observed: at("1.0.1", unsigned)})
	w.gone(url)
	w.awaitFiles("nothing is there", nothing)
}

// A controller that starts again looks once at the registry and writes nothing.
func TestStoryRestart(t *testing.T) {
	t.Parallel()
	eachDurable(t, func(t *testing.T, w *world) {
		digest := w.release("app", "1.0.0", "cosign")
		w.apply("app", w.spec("app", versioned("1.0.0")))
		before := w.ready("app")
		w.heard("app", 1)
		w.stopController()
		w.registry.Reset()
		w.start()
		w.awaitRequests(map[string]int{"GET ping": 1, "HEAD manifests": 1})
		w.expect(w.again("app"), w.released("1.0.0", digest))
		// The one write is that the poll which was asked for is handled.
		if writes := w.controller.writes.take(); len(writes) != 1 || !strings.HasPrefix(writes[0], "PATCH ") || !strings.HasSuffix(writes[0], "/status") {
			t.Errorf("expected one patch of the status, found %q", writes)
		}
		if counts := w.registry.Counts(); !cmp.Equal(counts, map[string]int{"GET ping": 1, "HEAD manifests": 2}) {
			t.Errorf("expected one HEAD a poll, found %v", counts)
		}
		if diff := cmp.Diff(before.Status.Artifact, w.get("app").Status.Artifact); diff != "" {
			t.Errorf("artifact (-before +after):\n%s", diff)
		}
		w.tells("app", "Normal SignatureVerified")
	})
}

func (w *world) awaitRequests(want map[string]int) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		found := w.registry.Counts()
		if cmp.Equal(found, want) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("waited %s for the requests %v, found %v", patience, want, found)
		}
	}
}
