package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	testregistry "github.com/assay-dev/assay/test/registry"
)

// However many registries answer at once, and however much, few attempts hold
// more than a little in memory.
func TestMemoryOfManyAttempts(t *testing.T) {
	const attempts = 100
	p := newPool(t)
	release := make(chan struct{})
	var sent sync.WaitGroup
	sent.Add(attempts)
	hostile := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		// More than is small, and then nothing more.
		_, _ = w.Write(make([]byte, smallBytes/2))

		sent.Done()
		_, _ = w.Write(make([]byte, 4*smallBytes))
		_ = http.NewResponseController(w).Flush()
		<-release
	}
	var addresses []string
	for range attempts {
		addresses = append(addresses, serve(t, listenTCP(t), hostile))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	for i := range attempts {
		ended.Go(func() {
			c := p.Client(repository(t, fmt.Sprintf("oci://%s/app", addresses[i]), true), Credentials{})
			defer c.Close()
			_, _ = c.smallBlob(ctx, otherDigest, maxSignatureBytes)
			if c.held > 6*smallBytes {
				t.Errorf("expected to hold no more than was sent, found %d bytes", c.held)
			}
		})
	}
	sent.Wait()
	p.large.mu.Lock()
	if p.large.most > largeAttempts {
		t.Errorf("expected at most %d large attempts at a time, found %d", largeAttempts, p.large.most)
	}
	p.large.mu.Unlock()
	cancel()
	close(release)
	ended.Wait()
	if n := len(p.large.holders); n != 0 {
		t.Errorf("expected every attempt to give back what it held, found %d", n)
	}
	if p.large.most == 0 {
		t.Error("expected large attempts, found none")
	}
}

func TestLargeBodies(t *testing.T) {
	l := newLargeBodies()
	take := func(host string, want bool) {
		t.Helper()
		if found := l.tryTake(host) == nil; found != want {
			t.Errorf("%s: expected %t, found %t", host, want, found)
		}
	}
	take("a", true)
	take("a", false) // One of a host.
	take("b", true)
	take("c", true)
	take("d", false)
	l.giveBack("a", true)
	take("a", true)
	l.giveBack("a", true)
	l.giveBack("b", true)
	l.giveBack("c", false)
	// Of those that failed while they held it, one.
	take("a", true)
	take("b", false)
	take("c", true)
	take("d", true)
	l.giveBack("a", false)
	take("b", true)
	l.giveBack("b", false)
	take("a", true) // It did not fail.

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.take(ctx, "e"); !errors.Is(err, context.Canceled) {
		t.Errorf("expected the context's end, found %v", err)
	}
	waited := make(chan error)
	go func() { waited <- l.take(t.Context(), "e") }()
	l.giveBack("d", false)
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

// What is dropped is not held, and a small attempt needs no leave.
func TestMemoryIsDropped(t *testing.T) {
	p := newPool(t)
	server := start(t, "referrers", testregistry.Options{})
	c := client(t, p, server, "app")
	read := func(n int) {
		t.Helper()
		if _, err := c.readAll(t.Context(), "it", io.LimitReader(zeros{}, int64(n)), maxPageBytes); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		read(smallBytes / 2)
		c.drop(smallBytes / 2)
	}
	if c.large || c.held != 0 {
		t.Errorf("expected nothing to be held, found %d bytes, large %t", c.held, c.large)
	}
	read(smallBytes + 1)
	if !c.large {
		t.Error("expected leave for more")
	}
	c.drop(smallBytes + 1)
	if c.large || len(p.large.holders) != 0 {
		t.Error("expected it to be given back")
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A list of few bytes for each element does not become many times as much.
func TestListsAreBoundedInMemory(t *testing.T) {
	const elements = 2 << 20
	list := func(key, element string) []byte {
		return []byte(`{"` + key + `":[` + strings.Repeat(element+",", elements) + element + `]}`)
	}
	tests := map[string]struct {
		body []byte
		read func(b []byte) int
		want int
	}{
		"layers":    {list("layers", "{}"), func(b []byte) int { return len(readManifest(b).Layers.first) }, maxManifestLayers},
		"referrers": {list("manifests", "{}"), func(b []byte) int { return readIndex(b).listed }, elements + 1},
		"tags": {list("tags", `""`), func(b []byte) int {
			var page struct{ Tags tagList }
			if err := json.Unmarshal(b, &page); err != nil {
				t.Fatal(err)
			}
			return len(page.Tags)
		}, maxTags + 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			found := tt.read(tt.body)
			runtime.ReadMemStats(&after)
			if found != tt.want {
				t.Errorf("expected %d, found %d", tt.want, found)
			}
			t.Logf("%d MiB of JSON: %d MiB allocated in all", len(tt.body)>>20, (after.TotalAlloc-before.TotalAlloc)>>20)
			runtime.KeepAlive(tt.body)
		})
	}
}

// Ten thousand referrers that may be signatures are known by 129 of them.
func TestCandidatesAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%064x","annotations":{"a":%q}},`, i, strings.Repeat("x", 100))
	}
	index := readIndex([]byte(`{"manifests":[` + strings.TrimSuffix(b.String(), ",") + `]}`))
	if index == nil || index.listed != 10_000 || len(index.sorted()) != maxCandidates {
		t.Errorf("found %+v", index)
	}
}
