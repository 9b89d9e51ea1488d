package main

import (
	"context"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/registry"
)

// fixtureModule is the module of a fixture: its README has one more line.
func fixtureModule(name string) map[string]string {
	files := fixtures.Module()
	files["README.md"] += "fixture " + name + "\n"
	return files
}

// filesIn reads a folder; a folder without files is there with a slash.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, path)
		if err != nil || below == "." {
			return err
		}
		if entry.IsDir() {
			if inside, err := os.ReadDir(path); err != nil || len(inside) == 0 {
				found[filepath.ToSlash(below)+"/"] = ""
				return err
			}
			return nil
		}
		if entry.Type() == fs.ModeSymlink {
			to, err := os.Readlink(path)
			found[filepath.ToSlash(below)] = "-> " + to
			return err
		}
		body, err := os.ReadFile(path)
		found[filepath.ToSlash(below)] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, filesIn(t, dir)); diff != "" {
		t.Errorf("%s (-expected +found):\n%s", dir, diff)
	}
}

// below puts what files there are into a folder of the given name.
func below(folder string, files map[string]string) map[string]string {
	moved := map[string]string{}
	for name, body := range files {
		moved[folder+"/"+name] = body
	}
	return moved
}

// writeFiles fills a folder.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, body := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPullPrints: a yes, a no and a don't know, in each format, and what is in
// the folder then.
func TestPullPrints(t *testing.T) {
	server := fixtureRegistry(t, true)
	key := []string{"--cosign-key", fixtureFile(t, "trust/cosign.pub"), "--trusted-root", fixtureFile(t, "trust/trusted_root.json")}
	for name, tt := range map[string]struct {
		repository string
		flags      []string
		code       int
	}{
		"key":       {"v2-key", key, exitOK},
		"keyless":   {"v3-rekor2-github", append(key[2:4:4], "--certificate-identity-regexp", `https://github\.com/example-org/app/.*`, "--certificate-oidc-issuer", fixtures.GitHub.Issuer), exitOK},
		"unsigned":  {"unsigned", key, exitRefused},
		"other-key": {"other-key-notlog", key, exitRefused},
		"no-module": {"nothing", key, exitFailed},
	} {
		for _, format := range []string{"", "json", "yaml"} {
			folder := t.TempDir()
			dir := filepath.Join(folder, "my", "module")
			got := assay(t, append([]string{"pull", "oci://" + server.Host() + "/" + tt.repository, "--version", "1.0.0", "--insecure", "--output", dir, "--verify", "cosign", "-o", format}, tt.flags...)...)
			if got.code != tt.code {
				t.Errorf("%s: expected exit %d, found %d: %s", name, tt.code, got.code, got.err)
			}
			golden(t, "pull/"+name+"."+map[string]string{"": "txt", "json": "json", "yaml": "yaml"}[format], got.out+got.err, server.Host(), "REGISTRY", folder, "FOLDER")
			want := map[string]string{}
			if tt.code == exitOK {
				want = below("my/module", fixtureModule(tt.repository))
			}
			wantFiles(t, folder, want)
		}
	}
}

// TestPullIntoWhatIsThere: what was there stays whole, or is replaced whole.
func TestPullIntoWhatIsThere(t *testing.T) {
	server := fixtureRegistry(t, true)
	key := fixtureFile(t, "trust/cosign.pub")
	module := fixtureModule("v3-key-notlog")
	full := map[string]string{"old.cue": "old", "d/old.cue": "old"}
	for name, tt := range map[string]struct {
		before map[string]string // of the folder "module"; nil for none
		output string            // below the folder
		other  string            // the repository, if it is not the signed one
		flags  []string
		code   int
		after  map[string]string // of the folder that "module" is in
		say    string
	}{
		"nothing":             {output: "module", after: below("module", module)},
		"an empty folder":     {before: map[string]string{}, output: "module", after: below("module", module)},
		"files":               {before: full, output: "module", code: exitUsage, after: below("module", full), say: "--force"},
		"files, force":        {before: full, output: "module", flags: []string{"--force"}, after: below("module", module)},
		"files, force, no":    {before: full, output: "module", other: "unsigned", flags: []string{"--force"}, code: exitRefused, after: below("module", full)},
		"files, force, what?": {before: full, output: "module", other: "nothing", flags: []string{"--force"}, code: exitFailed, after: below("module", full)},
		"no":                  {output: "module", other: "unsigned", code: exitRefused, after: map[string]string{}},
		"below a folder":      {before: full, output: "module/a/b", after: mapsOf(below("module", full), below("module/a/b", module))},
		"a file":              {before: full, output: "module/old.cue", flags: []string{"--force"}, code: exitUsage, after: below("module", full), say: "the file"},
		"below a file":        {before: full, output: "module/old.cue/x", code: exitUsage, after: below("module", full), say: "not a directory"},
		"too many files":      {output: "module", flags: []string{"--artifact-max-files", "2"}, code: exitFailed, after: map[string]string{}, say: "is verified, but could not be pulled"},
		"too many bytes":      {output: "module", flags: []string{"--artifact-max-bytes", "2"}, code: exitFailed, after: map[string]string{}, say: "is verified, but could not be pulled"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if tt.before != nil {
				if err := os.Mkdir(filepath.Join(folder, "module"), 0o755); err != nil {
					t.Fatal(err)
				}
				writeFiles(t, filepath.Join(folder, "module"), tt.before)
			}
			repository := tt.other
			if repository == "" {
				repository = "v3-key-notlog"
			}
			got := assay(t, append([]string{"pull", "oci://" + server.Host() + "/" + repository, "--insecure", "--output", filepath.Join(folder, filepath.FromSlash(tt.output)),
				"--verify=cosign", "--cosign-key", key, "--insecure-ignore-tlog"}, tt.flags...)...)
			if got.code != tt.code || !strings.Contains(got.err, tt.say) {
				t.Errorf("expected exit %d and %q, found %d: %s%s", tt.code, tt.say, got.code, got.out, got.err)
			}
			wantFiles(t, folder, tt.after)
		})
	}
}

func mapsOf(all ...map[string]string) map[string]string {
	whole := map[string]string{}
	for _, one := range all {
		for name, body := range one {
			whole[name] = body
		}
	}
	return whole
}

// TestPullThroughALink: the link stays, what it leads to is replaced, and keeps
// those out whom it kept out.
func TestPullThroughALink(t *testing.T) {
	server := fixtureRegistry(t, true)
	folder := t.TempDir()
	private := filepath.Join(folder, "private")
	writeFiles(t, private, map[string]string{"old": ""})
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink("private", link); err != nil {
		t.Fatal(err)
	}
	got := assay(t, "pull", "oci://"+server.Host()+"/v3-key-notlog", "--insecure", "--output", link, "--force", "--verify", "cosign", "--cosign-key", fixtureFile(t, "trust/cosign.pub"), "--insecure-ignore-tlog")
	if got.code != exitOK {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("expected the mode 700, found %v, %v", info.Mode(), err)
	}
	wantFiles(t, folder, mapsOf(map[string]string{"link": "-> private"}, below("private", fixtureModule("v3-key-notlog"))))
}

// TestPullRefusesToBeFooled: a registry that answers something else for the
// layers, or breaks off, leaves nothing.
func TestPullRefusesToBeFooled(t *testing.T) {
	server := fixtureRegistry(t, true)
	for name, intercept := range map[string]registry.Interceptor{
		"other bytes": registry.On(http.MethodGet, registry.KindBlobs, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.HasSuffix(r.URL.Path, "1857303f33321c20542e53e950335791c9f0cbcebb7215712bc55138540c47cf") {
				_, _ = w.Write([]byte("something else"))
				return
			}
			next.ServeHTTP(w, r)
		}),
		"breaks off": registry.On(http.MethodGet, registry.KindBlobs, registry.Abort),
	} {
		t.Run(name, func(t *testing.T) {
			server.Intercept(intercept)
			defer server.Intercept(nil)
			folder := t.TempDir()
			got := assay(t, "pull", "oci://"+server.Host()+"/v3-key-notlog", "--insecure", "--output", filepath.Join(folder, "module"), "--verify", "cosign", "--cosign-key", fixtureFile(t, "trust/cosign.pub"), "--insecure-ignore-tlog")
			if got.code != exitFailed {
				t.Errorf("expected exit %d, found %d: %s%s", exitFailed, got.code, got.out, got.err)
			}
			wantFiles(t, folder, map[string]string{})
		})
	}
}

// TestPullInterrupted: Ctrl-C while a layer comes leaves nothing, and what was
// there before stays.
func TestPullInterrupted(t *testing.T) {
	server := fixtureRegistry(t, true)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	server.Intercept(registry.On(http.MethodGet, registry.KindBlobs, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		// Not a signature's.
		if strings.HasSuffix(r.URL.Path, "1857303f33321c20542e53e950335791c9f0cbcebb7215712bc55138540c47cf") {
			interrupt()
			registry.Hang(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	defer server.Intercept(nil)
	folder := t.TempDir()
	before := map[string]string{"old": "old"}
	writeFiles(t, filepath.Join(folder, "module"), before)
	term, out, stderr := fakeTerminal()
	code := run(ctx, term, []string{"pull", "oci://" + server.Host() + "/v3-key-notlog", "--insecure", "--output", filepath.Join(folder, "module"), "--force", "--verify", "cosign",
		"--cosign-key", fixtureFile(t, "trust/cosign.pub"), "--insecure-ignore-tlog"})
	if code != exitFailed || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("expected exit %d and to read that it was interrupted, found %d: %s%s", exitFailed, code, out, stderr)
	}
	wantFiles(t, folder, below("module", before))
}

// TestPullShowsProgress: on a terminal only, and nothing of it is left.
func TestPullShowsProgress(t *testing.T) {
	server := fixtureRegistry(t, true)
	for _, progress := range []bool{true, false} {
		term, _, stderr := fakeTerminal()
		term.progress = progress
		code := run(t.Context(), term, []string{"pull", "oci://" + server.Host() + "/v3-key-notlog", "--insecure", "--output", filepath.Join(t.TempDir(), "module"), "--verify", "cosign",
			"--cosign-key", fixtureFile(t, "trust/cosign.pub"), "--insecure-ignore-tlog"})
		if code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		if shown := strings.Contains(stderr.String(), "pulling"); shown != progress {
			t.Errorf("progress on a terminal: %v; found %q", progress, stderr)
		}
		if text := stderr.String(); text != "" && !strings.HasSuffix(text, "\r") {
			t.Errorf("expected the line to be cleared, found %q", text)
		}
	}
}

func TestPullUsage(t *testing.T) {
	var all strings.Builder
	key := fixtureFile(t, "trust/cosign.pub")
	t.Run("in a folder", func(t *testing.T) {
		t.Chdir(t.TempDir())
		writeFiles(t, ".", map[string]string{"file": "", "full/file": ""})
		if err := os.Symlink("nowhere", "broken"); err != nil {
			t.Fatal(err)
		}
		const url = "oci://registry.example.com/app"
		for _, args := range [][]string{
			{},
			{url},
			{url, "--verify", "notation"},
			{url, "--verify", "cosign"},
			{url, "--verify", "cosign", "--output", "m"},
			{url, "--verify", "cosign", "-o", "./m", "--cosign-key", key},
			{url, "--verify", "cosign", "--output", "file", "--cosign-key", key},
			{url, "--verify", "cosign", "--output", "full", "--cosign-key", key},
			{url, "--verify", "cosign", "--output", ".", "--cosign-key", key, "--force"},
			{url, "--verify", "cosign", "--output", "..", "--cosign-key", key, "--force"},
			{url, "--verify", "cosign", "--output", "broken", "--cosign-key", key},
			{url, "--verify", "cosign", "--output", "m", "--artifact-max-files", "0", "--cosign-key", key},
			{url, "--verify", "cosign", "--output", "m", "--version", "one", "--cosign-key", key},
		} {
			got := assay(t, append([]string{"pull"}, args...)...)
			if got.code != exitUsage || got.out != "" {
				t.Errorf("%q: expected exit %d and no output, found %d: %s", args, exitUsage, got.code, got.out)
			}
			all.WriteString("$ assay pull " + strings.Join(args, " ") + "\n" + got.err + "\n")
		}
		wantFiles(t, ".", map[string]string{"broken": "-> nowhere", "file": "", "full/file": ""})
	})
	golden(t, "pull/usage.txt", all.String(), key, "cosign.pub")
}
