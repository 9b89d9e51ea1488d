package main

import (
	"context"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/registry"
)

// atFirst is called when the first word is written.
type atFirst struct {
	call func()
	said bool
}

func (w *atFirst) Write(p []byte) (int, error) {
	if !w.said {
		w.said = true
		w.call()
	}
	return len(p), nil
}

// TestNothingTemporaryWhenItIsSaid: a reader that is gone, as in `assay pull … |
// true`, ends the process at the first word, and nothing is left to remove then.
func TestNothingTemporaryWhenItIsSaid(t *testing.T) {
	key := newKeyPair(t)
	server := emptyRegistry(t, registry.Options{})
	url, source := "oci://"+server.Host()+"/app", moduleFolder(t, nil)
	temp, folder := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	for _, args := range [][]string{
		{"push", source, url, "--version", "1.0.0", "--sign", "cosign", "--cosign-key", key + ".key", "--tlog-upload=false"},
		{"pull", url, "--output", filepath.Join(folder, "module"), "--verify", "cosign", "--cosign-key", key + ".pub", "--insecure-ignore-tlog"},
	} {
		term, _, stderr := fakeTerminal()
		last := &atFirst{call: func() {
			for _, where := range []string{filepath.Join(temp, "*"), filepath.Join(folder, ".*")} {
				if left, err := filepath.Glob(where); len(left) > 0 || err != nil {
					t.Errorf("%s: expected nothing temporary, found %q, %v", args[0], left, err)
				}
			}
		}}
		term.out = last
		if code := run(t.Context(), term, append(args, "--insecure")); code != exitOK || !last.said {
			t.Errorf("%s: expected exit %d and a word, found %d: %s", args[0], exitOK, code, stderr)
		}
	}
}

// TestPushInterruptedBetweenTags says which tag is set.
func TestPushInterruptedBetweenTags(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	server.Intercept(registry.On(http.MethodPut, registry.KindManifests, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if path.Base(r.URL.Path) == latestTag {
			interrupt()
			registry.Hang(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	term, _, stderr := fakeTerminal()
	code := run(ctx, term, []string{"push", moduleFolder(t, nil), "oci://" + server.Host() + "/app", "--version", "1.0.0", "--insecure"})
	const want = "assay: interrupted\nThe tag 1.0.0 is set, and latest is not: push the same again\n"
	if code != exitFailed || !strings.HasSuffix(stderr.String(), want) {
		t.Errorf("expected exit %d and %q, found %d and %q", exitFailed, want, code, stderr)
	}
}
