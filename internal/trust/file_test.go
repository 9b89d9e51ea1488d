package trust

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The life of a file, as it may go with a ConfigMap that is mounted.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), trustedRootName)
	c := newClock()
	r := begin(t, c, Options{File: path})
	r.wantUnavailable("the file "+path, Unreadable)
	r.wantFailures(1, Unreadable)
	r.wantPause(0, 2*time.Second)

	write(t, path, rootJSON(t, oneRoot))
	r.attempt()
	r.wantRoot(oneRoot, 1)
	r.wantPause(0, time.Minute)
	r.attempt()
	r.wantRoot(oneRoot, 1)

	write(t, path, rootJSON(t, otherRoot))
	r.attempt()
	r.wantRoot(otherRoot, 2)

	for n, broken := range []string{"", "SECRET", strings.Repeat(" ", maxTrustedRootBytes+1)} {
		write(t, path, []byte(broken))
		r.attempt()
		r.wantRoot(otherRoot, 2)
		r.wantFailures(1, NoTrustedRoot)
		r.wantPause(n, []time.Duration{2, 4, 8}[n]*time.Second)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 5 { // Up to a minute, even with a root.
		r.attempt()
		r.wantRoot(otherRoot, 2)
		r.wantFailures(1, Unreadable)
	}
	r.wantPause(0, time.Minute)

	write(t, path, rootJSON(t, thirdRoot))
	r.demand()
	r.wantRoot(thirdRoot, 3)
	c.advance(100 * 365 * 24 * time.Hour) // It does not expire.
	r.wantRoot(thirdRoot, 3)
	r.wantFailures(0, "")
	if strings.Contains(r.log.String(), "SECRET") {
		t.Errorf("the log repeats the file:\n%s", r.log)
	}
}

// White space and the order of fields are no change.
func TestFileOfTheSameRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), trustedRootName)
	write(t, path, rootJSON(t, oneRoot))
	r := begin(t, newClock(), Options{File: path})
	write(t, path, append([]byte("\n\n"), rootJSON(t, oneRoot)...))
	r.attempt()
	r.wantRoot(oneRoot, 1)
}

func TestFileOfAnotherKind(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	contents := map[string][]byte{
		"TUF's root.json":         m.first,
		"public key":              rootJSON(t, "cosign.pub"),
		"empty object":            []byte("{}"),
		"root without its end":    rootJSON(t, oneRoot)[:1000],
		"signing configuration":   []byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}`),
		"too long a trusted root": append(rootJSON(t, oneRoot), make([]byte, maxTrustedRootBytes)...),
	}
	for name, content := range contents {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), trustedRootName)
			write(t, path, content)
			r := begin(t, c, Options{File: path})
			r.wantUnavailable("the file "+path, NoTrustedRoot)
			r.wantFailures(1, NoTrustedRoot)
		})
	}
	t.Run("endless", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), trustedRootName)
		write(t, path, nil)
		if err := os.Truncate(path, 64<<20); err != nil {
			t.Fatal(err)
		}
		r := begin(t, c, Options{File: path})
		r.wantUnavailable("the file "+path, NoTrustedRoot)
		if want := fmt.Sprintf("found %d", maxTrustedRootBytes+1); !strings.Contains(r.log.String(), want) {
			t.Errorf("expected %q in the log, found:\n%s", want, r.log)
		}
	})
	t.Run("folder", func(t *testing.T) {
		path := t.TempDir()
		r := begin(t, c, Options{File: path})
		r.wantUnavailable("the file "+path, Unreadable)
		if want := "not a regular file"; !strings.Contains(r.log.String(), want) {
			t.Errorf("expected %q in the log, found:\n%s", want, r.log)
		}
	})
}
