package artifact

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func wantHeld(t *testing.T, s *Store, archives int, bytes int64) {
	t.Helper()
	if n, b := s.Held(); n != archives || b != bytes {
		t.Errorf("expected %d archives of %d bytes, found %d of %d", archives, bytes, n, b)
	}
}

// What the store holds is known without asking the disk, from publishing to
// withdrawing, and again after a restart.
func TestHeld(t *testing.T) {
	now := time.Now()
	root, other := t.TempDir(), Owner{Namespace: "apps", Name: "other"}
	s := newStore(t, Options{Root: root, Retention: time.Minute, Now: func() time.Time { return now }})
	wantHeld(t, s, 0, 0)
	one, _ := publish(t, s, owner, layer(regular("a", "1")))
	wantHeld(t, s, 1, one.Size)
	two, _ := publish(t, s, owner, layer(regular("a", incompressible(5000))))
	three, _ := publish(t, s, other, layer(regular("a", "3")))
	wantHeld(t, s, 3, one.Size+two.Size+three.Size) // One of them is superseded.
	publish(t, s, other, layer(regular("a", "3")))
	wantHeld(t, s, 3, one.Size+two.Size+three.Size)

	again := newStore(t, Options{Root: root})
	wantHeld(t, again, 0, 0)
	again.Adopt(owner, two.Digest)
	wantHeld(t, again, 2, one.Size+two.Size)
	if err := again.Sweep(func(Owner) bool { return true }); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, again, 3, one.Size+two.Size+three.Size)

	now = now.Add(time.Hour)
	if err := s.Collect(); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, s, 2, two.Size+three.Size)
	if err := os.Remove(filepath.Join(root, filepath.FromSlash(three.Path))); err != nil {
		t.Fatal(err)
	}
	if err := s.Collect(); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, s, 1, two.Size)
	if err := s.Withdraw(owner); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, s, 0, 0)
}

// What is damaged, and what trust that changed leaves no room for, is not held
// any more.
func TestHeldOfWhatGoes(t *testing.T) {
	root := t.TempDir()
	s := newStore(t, Options{Root: root, Retention: time.Hour})
	one, _ := publish(t, s, owner, layer(regular("a", "1")))
	two, _ := publish(t, s, owner, layer(regular("a", "2")))
	wantHeld(t, s, 2, one.Size+two.Size)
	if err := s.KeepOnly(owner, two.Digest); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, s, 1, two.Size)
	if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(two.Path)), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.Holds(owner, two.Path, two.Digest) {
		t.Error("expected the damage to be noticed")
	}
	wantHeld(t, s, 0, 0)
}

// Each answer is told of at its end, with its code and its bytes.
func TestServerTellsOfAnswers(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", incompressible(100_000))))
	type answer struct {
		Code int
		Sent int64
	}
	var mu sync.Mutex
	var answers []answer
	server := &Server{Store: s, OnAnswer: func(code int, sent int64) {
		mu.Lock()
		defer mu.Unlock()
		answers = append(answers, answer{code, sent})
	}}
	listening := httptest.NewServer(server.Handler())
	defer listening.Close()
	base := listening.URL + "/"
	path := base + published.Path
	ask(t, http.MethodGet, path, nil)
	ask(t, http.MethodHead, path, nil)
	ask(t, http.MethodGet, path, http.Header{"Range": {"bytes=10-19"}})
	ask(t, http.MethodGet, path, http.Header{"If-None-Match": {`"` + published.Digest + `"`}})
	ask(t, http.MethodGet, base+"else", nil)
	ask(t, http.MethodPost, path, nil)
	mu.Lock()
	defer mu.Unlock()
	want := []answer{
		{200, published.Size}, {200, 0}, {206, 10}, {304, 0}, {404, int64(len("not found\n"))}, {405, int64(len("method not allowed\n"))},
	}
	if diff := cmp.Diff(want, answers); diff != "" {
		t.Errorf("answers (-expected +told):\n%s", diff)
	}
}
