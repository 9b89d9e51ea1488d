package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/registry"
)

// emptyRegistry is one with nothing in it.
func emptyRegistry(t *testing.T, o registry.Options) *registry.Server {
	t.Helper()
	server, err := registry.Referrers(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// moduleFolder is the module of the fixtures, with other files over it.
func moduleFolder(t *testing.T, over map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "my-app")
	writeFiles(t, dir, mapsOf(fixtures.Module(), over))
	return dir
}

// newKeyPair makes a key pair without a password: the path without .key and .pub.
func newKeyPair(t *testing.T) string {
	t.Helper()
	t.Setenv("COSIGN_PASSWORD", "")
	prefix := filepath.Join(t.TempDir(), "cosign")
	if got := assay(t, "keys", "generate", "--output-key-prefix", prefix); got.code != exitOK {
		t.Fatalf("generating keys: %s", got.err)
	}
	return prefix
}

// tagDigest is what a tag names; "" for nothing.
func tagDigest(t *testing.T, server *registry.Server, repository, tag string) string {
	t.Helper()
	ref, err := name.NewTag(server.Host()+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	found, err := remote.Head(ref, remote.WithContext(t.Context()))
	if err != nil {
		return ""
	}
	return found.Digest.String()
}

// written are the manifests that were put, in their order: "digest" for what has
// no tag.
func written(server *registry.Server) []string {
	var list []string
	for _, r := range server.Requests() {
		if r.Method != http.MethodPut || r.Kind() != registry.KindManifests {
			continue
		}
		reference := path.Base(r.Path)
		switch {
		case strings.HasPrefix(reference, "sha256:"):
			reference = "digest"
		case strings.HasPrefix(reference, "sha256-"):
			reference = "signature"
		}
		list = append(list, reference)
	}
	return list
}

// TestPushPrints: what is pushed, in each format.
func TestPushPrints(t *testing.T) {
	key := newKeyPair(t)
	for name, flags := range map[string][]string{
		"module":  nil,
		"release": {"--latest=false", "--sign", "cosign", "--cosign-key", key + ".key", "--tlog-upload=false"},
		"flux":    {"--artifact-type", "flux"},
		"generic": {"--artifact-type", "generic"},
	} {
		for _, format := range []string{"", "json", "yaml"} {
			server := emptyRegistry(t, registry.Options{})
			dir := moduleFolder(t, nil)
			if err := os.Symlink("timoni.cue", filepath.Join(dir, "link.cue")); err != nil {
				t.Fatal(err)
			}
			got := assay(t, append([]string{"push", dir, "oci://" + server.Host() + "/app", "--version", "1.0.0", "--insecure", "-o", format}, flags...)...)
			if got.code != exitOK {
				t.Fatalf("%s: exit %d: %s", name, got.code, got.err)
			}
			fingerprint := "none"
			if _, after, ok := strings.Cut(got.out, "ingerprint"); ok {
				fingerprint = "sha256:" + strings.FieldsFunc(after[strings.Index(after, "sha256:")+7:], func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) })[0]
			} else if _, after, ok := strings.Cut(got.out, "Key:"); ok {
				fingerprint = strings.Fields(after)[0]
			}
			golden(t, "push/"+name+"."+map[string]string{"": "txt", "json": "json", "yaml": "yaml"}[format], got.out+got.err,
				server.Host(), "REGISTRY", tagDigest(t, server, "app", "1.0.0"), "DIGEST", fingerprint, "FINGERPRINT")
		}
	}
}

// TestPushIsVerifiedAndPulled: what is pushed and signed is verified by the
// public key, with either kind of signature and of registry, and comes back as it
// was; by another key it is refused.
func TestPushIsVerifiedAndPulled(t *testing.T) {
	key, other := newKeyPair(t), newKeyPair(t)
	for _, kind := range []string{"timoni", "flux", "generic"} {
		for where, start := range map[string]func(registry.Options) (*registry.Server, error){
			"cosign, referrers": registry.Referrers, "bundle, referrers": registry.Referrers,
			"cosign, none": registry.Distribution, "bundle, none": registry.Distribution,
		} {
			t.Run(kind+", "+where, func(t *testing.T) {
				format, _, _ := strings.Cut(where, ",")
				server, err := start(registry.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = server.Close() })
				url := "oci://" + server.Host() + "/my-org/modules/my-app"
				got := assay(t, "push", moduleFolder(t, nil), url, "--version", "1.0.0", "--artifact-type", kind, "--insecure", "-o", "json",
					"--sign", "cosign", "--cosign-key", key+".key", "--tlog-upload=false", "--signature-format", format)
				if got.code != exitOK {
					t.Fatalf("push: exit %d: %s", got.code, got.err)
				}
				var pushed struct{ URL, Repository, Version, Digest string }
				if err := json.Unmarshal([]byte(got.out), &pushed); err != nil {
					t.Fatal(err)
				}
				for _, tag := range []string{"1.0.0", "latest"} {
					if found := tagDigest(t, server, "my-org/modules/my-app", tag); found != pushed.Digest {
						t.Errorf("%s: expected %s, found %s", tag, pushed.Digest, found)
					}
				}
				for _, target := range [][]string{{url}, {url, "--version", "1.0.0"}, {url, "--tag", "latest"}, {pushed.URL}} {
					args := append([]string{"verify", "--insecure", "--insecure-ignore-tlog"}, target...)
					if got := assay(t, append(args, "--cosign-key", key+".pub")...); got.code != exitOK {
						t.Errorf("verify %q: exit %d: %s%s", target, got.code, got.out, got.err)
					}
					if got := assay(t, append(args, "--cosign-key", other+".pub")...); got.code != exitRefused {
						t.Errorf("verify %q by another key: exit %d: %s%s", target, got.code, got.out, got.err)
					}
				}
				dir := filepath.Join(t.TempDir(), "pulled")
				if got := assay(t, "pull", url, "--output", dir, "--insecure", "--verify", "cosign", "--cosign-key", key+".pub", "--insecure-ignore-tlog"); got.code != exitOK {
					t.Errorf("pull: exit %d: %s%s", got.code, got.out, got.err)
				}
				wantFiles(t, dir, fixtures.Module())
			})
		}
	}
}

// TestPushTagsLast: no tag names what is not signed yet.
func TestPushTagsLast(t *testing.T) {
	key := newKeyPair(t)
	server := emptyRegistry(t, registry.Options{})
	got := assay(t, "push", moduleFolder(t, nil), "oci://"+server.Host()+"/app", "--version", "1.0.0", "--insecure",
		"--sign", "cosign", "--cosign-key", key+".key", "--tlog-upload=false")
	if got.code != exitOK {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	if diff := cmp.Diff([]string{"digest", "signature", "1.0.0", "latest"}, written(server)); diff != "" {
		t.Errorf("manifests (-expected +found):\n%s", diff)
	}
}

// TestPushAgain: a version keeps its digest.
func TestPushAgain(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	push := func(dir string, flags ...string) ran {
		server.Reset()
		return assay(t, append([]string{"push", dir, "oci://" + server.Host() + "/app", "--version", "1.0.0", "--insecure"}, flags...)...)
	}
	one, two := moduleFolder(t, nil), moduleFolder(t, map[string]string{"values.cue": "other"})
	if got := push(one); got.code != exitOK {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	first := tagDigest(t, server, "app", "1.0.0")

	if got := push(one); got.code != exitOK {
		t.Errorf("the same again: exit %d: %s", got.code, got.err)
	}
	if diff := cmp.Diff([]string{"latest"}, written(server)); diff != "" {
		t.Errorf("the same again: manifests (-expected +found):\n%s", diff)
	}

	got := push(two)
	if got.code != exitFailed || !strings.Contains(got.err, "--force") || !strings.Contains(got.err, first) {
		t.Errorf("something else: expected exit %d and a word of --force, found %d: %s", exitFailed, got.code, got.err)
	}
	if n := server.Counts(); n["POST uploads"]+n["PUT manifests"] > 0 {
		t.Errorf("something else: expected nothing sent, found %v", n)
	}
	if found := tagDigest(t, server, "app", "1.0.0"); found != first {
		t.Errorf("something else: expected the digest %s, found %s", first, found)
	}

	if got := push(two, "--force", "--latest=false"); got.code != exitOK {
		t.Errorf("with --force: exit %d: %s", got.code, got.err)
	}
	if found := tagDigest(t, server, "app", "1.0.0"); found == first {
		t.Errorf("with --force: expected another digest than %s, found it", first)
	}
	if found := tagDigest(t, server, "app", "latest"); found != first {
		t.Errorf("--latest=false: expected latest to stay at %s, found %s", first, found)
	}
}

// TestPushThatFails leaves no tag, and moves none.
func TestPushThatFails(t *testing.T) {
	key := newKeyPair(t)
	sign := []string{"--sign", "cosign", "--cosign-key", key + ".key", "--tlog-upload=false"}
	hostile := []byte(`{"errors":[{"code":"DENIED","message":"no\u001b[2J` + strings.Repeat("x", 5000) + `"}]}`)
	isSignature := func(r *http.Request) bool { return strings.HasPrefix(path.Base(r.URL.Path), "sha256-") }
	for name, tt := range map[string]struct {
		intercept registry.Interceptor
		flags     []string
		say       string
		written   []string
	}{
		"uploading":          {registry.On(http.MethodPost, registry.KindUploads, registry.Respond(http.StatusForbidden, nil, hostile)), nil, "docker login", nil},
		"the manifest":       {registry.On(http.MethodPut, registry.KindManifests, registry.Respond(http.StatusBadRequest, nil, nil)), nil, "pushing", []string{"digest"}},
		"asking for the tag": {registry.On(http.MethodHead, registry.KindManifests, registry.Respond(http.StatusForbidden, nil, nil)), nil, "asking for the tag 1.0.0", nil},
		"signing": {registry.On(http.MethodPut, registry.KindManifests, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isSignature(r) {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			next.ServeHTTP(w, r)
		}), sign, "Nothing was tagged", []string{"digest", "signature"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := emptyRegistry(t, registry.Options{})
			url := "oci://" + server.Host() + "/app"
			if got := assay(t, "push", moduleFolder(t, nil), url, "--version", "0.9.0", "--insecure"); got.code != exitOK {
				t.Fatalf("exit %d: %s", got.code, got.err)
			}
			before := tagDigest(t, server, "app", "latest")
			server.Intercept(tt.intercept)
			server.Reset()
			got := assay(t, append([]string{"push", moduleFolder(t, map[string]string{"values.cue": "other"}), url, "--version", "1.0.0", "--insecure"}, tt.flags...)...)
			if got.code != exitFailed || !strings.Contains(got.err, tt.say) || got.out != "" {
				t.Errorf("expected exit %d and %q, found %d: %s%s", exitFailed, tt.say, got.code, got.out, got.err)
			}
			if strings.Contains(got.err, "\x1b") || len(got.err) > 2000 {
				t.Errorf("expected a bounded text without control characters, found %q", got.err)
			}
			if diff := cmp.Diff(tt.written, written(server)); diff != "" {
				t.Errorf("manifests (-expected +found):\n%s", diff)
			}
			server.Intercept(nil)
			if found := tagDigest(t, server, "app", "1.0.0"); found != "" {
				t.Errorf("expected no tag, found %s", found)
			}
			if found := tagDigest(t, server, "app", "latest"); found != before {
				t.Errorf("expected latest to be %s still, found %s", before, found)
			}
		})
	}
}

// TestPushInterruptedWhileSigning: what is not signed gets no tag, and it says so.
func TestPushInterruptedWhileSigning(t *testing.T) {
	key := newKeyPair(t)
	server := emptyRegistry(t, registry.Options{})
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	server.Intercept(registry.On(http.MethodPut, registry.KindManifests, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(path.Base(r.URL.Path), "sha256-") {
			interrupt()
			registry.Hang(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	term, out, stderr := fakeTerminal()
	code := run(ctx, term, []string{"push", moduleFolder(t, nil), "oci://" + server.Host() + "/app", "--version", "1.0.0", "--insecure",
		"--sign", "cosign", "--cosign-key", key + ".key", "--tlog-upload=false"})
	want := "assay: interrupted\nNothing was tagged: oci://" + server.Host() + "/app:1.0.0 is what it was before\n"
	if code != exitFailed || stderr.String() != want || out.Len() > 0 {
		t.Errorf("expected exit %d and %q, found %d and %s%q", exitFailed, want, code, out, stderr)
	}
	if list := written(server); slices.Contains(list, "1.0.0") || slices.Contains(list, "latest") {
		t.Errorf("expected no tag, found %q", list)
	}
}

// TestPushOvertaken: somebody pushes the version while we sign.
func TestPushOvertaken(t *testing.T) {
	key := newKeyPair(t)
	server := emptyRegistry(t, registry.Options{})
	url := "oci://" + server.Host() + "/app"
	other := moduleFolder(t, map[string]string{"values.cue": "other"})
	var once atomic.Bool
	server.Intercept(registry.On(http.MethodPut, registry.KindManifests, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(path.Base(r.URL.Path), "sha256-") && once.CompareAndSwap(false, true) {
			server.Intercept(nil)
			if got := assay(t, "push", other, url, "--version", "1.0.0", "--insecure", "--latest=false"); got.code != exitOK {
				t.Errorf("the other: exit %d: %s", got.code, got.err)
			}
		}
		next.ServeHTTP(w, r)
	}))
	got := assay(t, "push", moduleFolder(t, nil), url, "--version", "1.0.0", "--insecure", "--sign", "cosign", "--cosign-key", key+".key", "--tlog-upload=false")
	if got.code != exitFailed || !strings.Contains(got.err, "is there already") {
		t.Errorf("expected exit %d, found %d: %s", exitFailed, got.code, got.err)
	}
	if found := tagDigest(t, server, "app", "latest"); found != "" {
		t.Errorf("expected no tag latest, found %s", found)
	}
}

// TestPushInterrupted: Ctrl-C while a layer goes leaves no tag, and nothing on
// the disk.
func TestPushInterrupted(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	temp := t.TempDir()
	dir := moduleFolder(t, nil)
	t.Setenv("TMPDIR", temp)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	server.Intercept(registry.On(http.MethodPatch, registry.KindUploads, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		interrupt()
		registry.Hang(w, r, next)
	}))
	term, out, stderr := fakeTerminal()
	code := run(ctx, term, []string{"push", dir, "oci://" + server.Host() + "/app", "--version", "1.0.0", "--insecure"})
	if code != exitFailed || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("expected exit %d and to read that it was interrupted, found %d: %s%s", exitFailed, code, out, stderr)
	}
	if list := written(server); len(list) > 0 {
		t.Errorf("expected no manifest, found %q", list)
	}
	if left, err := os.ReadDir(temp); len(left) > 0 || err != nil {
		t.Errorf("expected no temporary files, found %v, %v", left, err)
	}
}

// TestPushRetries: what go-containerregistry tries again is tried again.
func TestPushRetries(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	var asked atomic.Int32 // Layers are pushed side by side.
	server.Intercept(registry.On(http.MethodPost, registry.KindUploads, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	}))
	got := assay(t, "push", moduleFolder(t, nil), "oci://"+server.Host()+"/app", "--version", "1.0.0", "--insecure")
	if got.code != exitOK || asked.Load() < 2 {
		t.Errorf("expected exit 0 after a second trial, found %d after %d: %s", got.code, asked.Load(), got.err)
	}
}

// TestPushWithCredentials: those that docker login left, and with the right to
// push from the first question on.
func TestPushWithCredentials(t *testing.T) {
	server := emptyRegistry(t, registry.Options{Auth: &registry.TokenAuth{User: "dev", Password: "s3cret"}})
	folder := t.TempDir()
	t.Setenv("DOCKER_CONFIG", folder)
	url := "oci://" + server.Host() + "/app"
	dir := moduleFolder(t, nil)
	if got := assay(t, "push", dir, url, "--version", "1.0.0", "--insecure"); got.code != exitFailed || !strings.Contains(got.err, "docker login") {
		t.Errorf("without credentials: expected exit %d, found %d: %s", exitFailed, got.code, got.err)
	}
	writeFiles(t, folder, map[string]string{"config.json": `{"auths":{"` + server.Host() + `":{"username":"dev","password":"s3cret"}}}`})
	if got := assay(t, "push", dir, url, "--version", "1.0.0", "--insecure"); got.code != exitUsage || strings.Contains(got.err, "s3cret") {
		t.Errorf("in the clear: expected exit %d, found %d: %s", exitUsage, got.code, got.err)
	}
	server.Reset()
	if got := assay(t, "push", dir, url, "--version", "1.0.0", "--insecure", "--allow-insecure-credentials"); got.code != exitOK {
		t.Errorf("expected exit 0, found %d: %s", got.code, got.err)
	}
	for _, r := range server.Requests() {
		if r.Kind() == registry.KindToken && !strings.Contains(r.RawQuery, "push") {
			t.Errorf("expected only tokens to push, found one for %s", r.RawQuery)
		}
	}
}

// TestPushNeedsHTTPS: not even on this machine is plain HTTP a matter of course.
func TestPushNeedsHTTPS(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	got := assay(t, "push", moduleFolder(t, nil), "oci://"+server.Host()+"/app", "--version", "1.0.0")
	if got.code != exitFailed || !strings.Contains(got.err, "--insecure") {
		t.Errorf("expected exit %d and a word of --insecure, found %d: %s", exitFailed, got.code, got.err)
	}
	if n := len(server.Requests()); n > 0 {
		t.Errorf("expected no request, found %d", n)
	}
}

// TestPushShowsProgress on a terminal only.
func TestPushShowsProgress(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	for version, progress := range map[string]bool{"1.0.0": true, "2.0.0": false} {
		term, _, stderr := fakeTerminal()
		term.progress = progress
		dir := moduleFolder(t, map[string]string{"values.cue": version})
		if code := run(t.Context(), term, []string{"push", dir, "oci://" + server.Host() + "/app", "--version", version, "--insecure"}); code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		if shown := strings.Contains(stderr.String(), "pushing"); shown != progress {
			t.Errorf("progress on a terminal: %v; found %q", progress, stderr)
		}
	}
}

// TestPushMakesWhatTimoniMade: to the same digest, through the whole command.
func TestPushMakesWhatTimoniMade(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	dir := moduleFolder(t, map[string]string{"README.md": fixtureModule("unsigned")["README.md"]})
	if err := os.Chmod(dir, 0o700); err != nil { // mktemp made Timoni's.
		t.Fatal(err)
	}
	if got := assay(t, "push", dir, "oci://"+server.Host()+"/app", "--version", "1.0.0", "--insecure"); got.code != exitOK {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	want, err := fixtures.Digest("unsigned")
	if err != nil {
		t.Fatal(err)
	}
	if found := tagDigest(t, server, "app", "1.0.0"); found != want {
		t.Errorf("expected %s, found %s", want, found)
	}
}

func TestPushUsage(t *testing.T) {
	var all strings.Builder
	t.Run("in a folder", func(t *testing.T) {
		t.Chdir(t.TempDir())
		writeFiles(t, ".", mapsOf(map[string]string{"deploy/app.yaml": "", "file": ""}, below("app", fixtures.Module())))
		const url = "oci://registry.example.com/app"
		version := func(args ...string) []string { return slices.Concat(args, []string{"--version", "1.0.0"}) }
		for _, args := range [][]string{
			{"app"},
			{"app", url},
			{"app", url, "--version", "v1.0.0"},
			{"app", url, "--version", "1.0"},
			{"app", url, "--version", "latest"},
			{"app", url, "--version", "1.0.0+build.1"},
			version("app", url+":1.0.0"),
			version("app", url+"@sha256:abc"),
			version("app", "registry.example.com/app"),
			version("app", "oci://registry.example.com:5000"),
			version("app", "https://registry.example.com/app"),
			version("app", url, "--annotation", "licenses"),
			version("app", url, "--artifact-type", "helm"),
			version("app", url, "--sign", "notation"),
			version("app", url, "--cosign-key", "cosign.key"),
			version("app", url, "-o", "xml"),
			version("app", url, "--artifact-max-bytes", "-1"),
			version("app", url, "--timeout", "0s"),
			version("app", url, "--sign", "cosign", "--cosign-key", "none.key"),
			version("deploy", url),
			version("file", url),
			version("none", url),
		} {
			got := assay(t, append([]string{"push"}, args...)...)
			if got.code != exitUsage || got.out != "" {
				t.Errorf("%q: expected exit %d and no output, found %d: %s%s", args, exitUsage, got.code, got.out, got.err)
			}
			all.WriteString("$ assay push " + strings.Join(args, " ") + "\n" + got.err + "\n")
		}
	})
	golden(t, "push/usage.txt", all.String())
}
