package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/registry"
)

// TestInterruptedWhileAsking: nothing was judged, and no registry is blamed.
func TestInterruptedWhileAsking(t *testing.T) {
	key := fixtureFile(t, "trust/cosign.pub")
	for _, args := range [][]string{
		{"verify", "--cosign-key", key, "--insecure-ignore-tlog"},
		{"pull", "--cosign-key", key, "--insecure-ignore-tlog", "--verify", "cosign", "--output", filepath.Join(t.TempDir(), "pulled")},
		{"inspect"},
	} {
		server := emptyRegistry(t, registry.Options{})
		ctx, interrupt := context.WithCancel(t.Context())
		server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			interrupt()
			registry.Hang(w, r, next)
		})
		term, out, stderr := fakeTerminal()
		code := run(ctx, term, append(args, "oci://"+server.Host()+"/app", "--tag", "1.0.0", "--insecure"))
		if code != exitFailed || out.Len() > 0 || stderr.String() != "assay: interrupted\n" {
			t.Errorf("%s: expected exit %d and to read that it was interrupted, found %d: %s%s", args[0], exitFailed, code, out, stderr)
		}
		interrupt()
	}
}

// TestNoTrustedRoot: what could not be judged is said in every format, and what
// to do about it.
func TestNoTrustedRoot(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.json")
	for _, command := range []string{"verify", "pull"} {
		args := []string{command, "oci://127.0.0.1:1/app", "--cosign-key", fixtureFile(t, "trust/cosign.pub"), "--trusted-root", missing, "--insecure"}
		format := "--output"
		if command == "pull" {
			args = append(args, "--verify", "cosign", "--output", filepath.Join(t.TempDir(), "pulled"))
			format = "--format"
		}
		got := assay(t, append(args, format, "json")...)
		var v verdict
		if err := json.Unmarshal([]byte(got.out), &v); err != nil || got.code != exitFailed || v.Verified != "Unknown" || v.Reason != "TrustUnavailable" {
			t.Errorf("%s: expected exit %d and TrustUnavailable, found %d, %v: %s%s", command, exitFailed, got.code, err, got.out, got.err)
		}
		if !strings.Contains(v.Message, "--trusted-root FILE") || !strings.Contains(v.Message, "--insecure-ignore-tlog") {
			t.Errorf("%s: expected what to do, found %q", command, v.Message)
		}
	}
}

// full is a disk that is.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestOutputThatCannotBeWritten: a yes that nobody can read is none.
func TestOutputThatCannotBeWritten(t *testing.T) {
	server := fixtureRegistry(t, true)
	for _, format := range []string{"", "json", "yaml"} {
		term, _, stderr := fakeTerminal()
		term.out = full{}
		code := run(t.Context(), term, []string{"verify", "oci://" + server.Host() + "/v3-key-notlog", "--insecure", "--insecure-ignore-tlog",
			"--cosign-key", fixtureFile(t, "trust/cosign.pub"), "--output", format})
		if code != exitFailed || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("%q: expected exit %d, found %d: %s", format, exitFailed, code, stderr)
		}
	}
}

// TestTagBesideADigest: a tag that names another digest is not passed over.
func TestTagBesideADigest(t *testing.T) {
	server := fixtureRegistry(t, true)
	other, err := fixtures.Digest("v2-key-notlog")
	if err != nil {
		t.Fatal(err)
	}
	got := assay(t, "verify", "oci://"+server.Host()+"/v3-key-notlog:1.0.0@"+other, "--insecure", "--insecure-ignore-tlog", "--cosign-key", fixtureFile(t, "trust/cosign.pub"))
	if got.code != exitRefused || !strings.Contains(got.out, "DigestMismatch") {
		t.Errorf("expected exit %d and DigestMismatch, found %d: %s%s", exitRefused, got.code, got.out, got.err)
	}
}

// TestValuesAreCompleted: where a flag takes one of a few values.
func TestValuesAreCompleted(t *testing.T) {
	for typed, want := range map[string]string{
		"verify --output ":         "github",
		"push --artifact-type ":    "generic",
		"push --signature-format ": "bundle",
		"pull --verify ":           "cosign",
		"keys generate -o ":        "configmap",
	} {
		if got := assay(t, append([]string{"__complete"}, strings.Split(typed, " ")...)...); !strings.Contains(got.out, want) {
			t.Errorf("%q: expected %s to be proposed, found %s", typed, want, got.out)
		}
	}
}

// TestPushPreRelease: who follows the latest does not get what is not released,
// unless the author says so.
func TestPushPreRelease(t *testing.T) {
	for flag, want := range map[string]bool{"": false, "--latest": true, "--latest=false": false} {
		server := emptyRegistry(t, registry.Options{})
		args := []string{"push", moduleFolder(t, nil), "oci://" + server.Host() + "/app", "--version", "2.0.0-rc.1", "--insecure"}
		if flag != "" {
			args = append(args, flag)
		}
		if got := assay(t, args...); got.code != exitOK {
			t.Fatalf("%q: exit %d: %s", flag, got.code, got.err)
		}
		if found := tagDigest(t, server, "app", "latest") != ""; found != want {
			t.Errorf("%q: expected the tag latest: %t, found %t", flag, want, found)
		}
	}
}

// TestTimeout: a registry that does not answer is called slow, and nothing else.
func TestTimeout(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	server.Intercept(registry.Hang)
	key, url := newKeyPair(t), "oci://"+server.Host()+"/app"
	for _, args := range [][]string{
		{"verify", url, "--cosign-key", key + ".pub", "--insecure-ignore-tlog"},
		{"inspect", url},
		{"sign", url, "--cosign-key", key + ".key", "--tlog-upload=false"},
		{"push", moduleFolder(t, nil), url, "--version", "1.0.0"},
		{"pull", url, "--cosign-key", key + ".pub", "--insecure-ignore-tlog", "--verify", "cosign", "--output", filepath.Join(t.TempDir(), "pulled")},
	} {
		got := assay(t, append(args, "--insecure", "--timeout", "300ms")...)
		said := got.out + got.err
		if got.code != exitFailed || !strings.Contains(said, "it took longer than --timeout, which is 300ms") || strings.Contains(said, "plain HTTP") {
			t.Errorf("%s: expected exit %d and to read of --timeout, found %d: %s", args[0], exitFailed, got.code, said)
		}
	}
}

// TestFlagsAreNamed: a message says which flag, where the controller's says which
// field.
func TestFlagsAreNamed(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	url := "oci://" + server.Host() + "/app"
	for _, args := range [][]string{{"verify", "--cosign-key", fixtureFile(t, "trust/cosign.pub"), "--insecure-ignore-tlog"}, {"inspect"}} {
		got := assay(t, append(args, url, "--tag", "1.0.0")...)
		if said := got.out + got.err; got.code != exitFailed || !strings.Contains(said, "add --insecure") || strings.Contains(said, "insecure: true") {
			t.Errorf("%s: expected exit %d and --insecure, found %d: %s", args[0], exitFailed, got.code, said)
		}
	}
}
