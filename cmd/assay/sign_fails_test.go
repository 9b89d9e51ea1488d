package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/registry"
)

// TestSignRepeatsNoControlCharacters: what a registry says is its own text, and
// neither moves the cursor nor begins a line.
func TestSignRepeatsNoControlCharacters(t *testing.T) {
	key := newKeyPair(t)
	server := emptyRegistry(t, registry.Options{})
	url := "oci://" + server.Host() + "/app"
	if got := assay(t, "push", moduleFolder(t, nil), url, "--version", "1.0.0", "--insecure"); got.code != exitOK {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	digest := tagDigest(t, server, "app", "1.0.0")
	hostile := registry.Respond(http.StatusForbidden, nil, []byte(`{"errors":[{"code":"DENIED","message":"no\u001b[2J\n::error::`+strings.Repeat("x", 5000)+`"}]}`))
	for name, tt := range map[string]struct {
		intercept registry.Interceptor
		say       string
	}{
		"reading":   {registry.On(http.MethodGet, registry.KindManifests, hostile), "reading what is to be signed, " + server.Host() + "/app@" + digest},
		"attaching": {registry.On(http.MethodPost, registry.KindUploads, hostile), "attaching the signature to " + server.Host() + "/app@" + digest},
	} {
		for _, format := range []string{"cosign", "bundle"} {
			server.Intercept(tt.intercept)
			// Resolving is asked with HEAD.
			got := assay(t, "sign", url+":1.0.0", "--insecure", "--cosign-key", key+".key", "--tlog-upload=false", "--signature-format", format)
			if got.code != exitFailed || !strings.Contains(got.err, tt.say) || !strings.Contains(got.err, "docker login") || got.out != "" {
				t.Errorf("%s, %s: expected exit %d and %q, found %d: %s%s", name, format, exitFailed, tt.say, got.code, got.out, got.err)
			}
			if strings.Contains(got.err, "\x1b") || strings.Contains(got.err, "\n::") || len(got.err) > 2000 {
				t.Errorf("%s, %s: expected a bounded text without control characters, found %q", name, format, got.err)
			}
		}
	}
}

// TestReportIsClean: whoever made an error, its lines hold no control character.
func TestReportIsClean(t *testing.T) {
	term, _, stderr := fakeTerminal()
	code := term.report(t.Context(), newRootCommand(term), usageError("\x1b[31mred", "a\x1b[2Jb\u202e"))
	const want = "assay: a\\x1b[2Jb\\u202e\nTry: \\x1b[31mred\nSee: assay --help\n"
	if code != exitUsage || stderr.String() != want {
		t.Errorf("expected exit %d and %q, found %d and %q", exitUsage, want, code, stderr)
	}
}

// TestResolvingEnds: who interrupts, and who waits too long, reads that, and not
// that the registry is to blame.
func TestResolvingEnds(t *testing.T) {
	key := newKeyPair(t)
	server := emptyRegistry(t, registry.Options{})
	url := "oci://" + server.Host() + "/app"
	for _, args := range [][]string{{"sign", url, "--cosign-key", key + ".key", "--tlog-upload=false"}, {"inspect", url}} {
		ctx, interrupt := context.WithCancel(t.Context())
		server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			interrupt()
			registry.Hang(w, r, next)
		})
		term, _, stderr := fakeTerminal()
		if code := run(ctx, term, append(args, "--insecure")); code != exitFailed || stderr.String() != "assay: interrupted\n" {
			t.Errorf("%s: expected exit %d, found %d: %s", args[0], exitFailed, code, stderr)
		}
		server.Intercept(registry.Hang)
		got := assay(t, append(args, "--insecure", "--timeout", "200ms")...)
		if got.code != exitFailed || !strings.Contains(got.err, "it took longer than --timeout, which is 200ms") {
			t.Errorf("%s: expected exit %d, found %d: %s", args[0], exitFailed, got.code, got.err)
		}
	}
}
