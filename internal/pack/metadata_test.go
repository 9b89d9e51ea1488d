package pack_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/pack"
)

const (
	version   = "org.opencontainers.image.version"
	sourceKey = "org.opencontainers.image.source"
	revision  = "org.opencontainers.image.revision"
	created   = "org.opencontainers.image.created"
)

// workTree makes a commit of dir, on the branch main, at a time of its own.
func workTree(t *testing.T, dir, remote string) (commit string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	git := func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), "git", args...)
		command.Dir = dir
		command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_DATE=2026-03-04T05:06:07+02:00", "GIT_COMMITTER_DATE=2026-03-04T05:06:08+02:00",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	git("add", ".")
	git("commit", "-q", "-m", "one")
	if remote != "" {
		git("remote", "add", "origin", remote)
	}
	return git("rev-parse", "HEAD")
}

func TestAnnotationsOfGit(t *testing.T) {
	dir := module(t, map[string]string{"timoni.ignore": ".git/\n"})
	commit := workTree(t, dir, "https://example.com/org/app.git")
	const at = "2026-03-04T03:06:08Z"
	tests := map[string]struct {
		options pack.Options
		env     map[string]string
		want    map[string]string
	}{
		"a module": {pack.Options{Type: pack.Timoni}, nil,
			map[string]string{version: "1.0.0", sourceKey: "https://example.com/org/app.git", revision: commit, created: at}},
		"what is given wins": {pack.Options{Type: pack.Timoni, Annotations: map[string]string{sourceKey: "s", revision: "", created: "c", version: "9.9.9"}}, nil,
			map[string]string{version: "1.0.0", sourceKey: "s", revision: "", created: "c"}},
		"SOURCE_DATE_EPOCH": {pack.Options{Type: pack.Timoni}, map[string]string{"SOURCE_DATE_EPOCH": "1700000000"},
			map[string]string{version: "1.0.0", sourceKey: "https://example.com/org/app.git", revision: commit, created: "2023-11-14T22:13:20Z"}},
		"SOURCE_DATE_EPOCH is no number": {pack.Options{Type: pack.Timoni}, map[string]string{"SOURCE_DATE_EPOCH": "yesterday"},
			map[string]string{version: "1.0.0", sourceKey: "https://example.com/org/app.git", revision: commit, created: at}},
		"Flux": {pack.Options{Type: pack.Flux}, nil,
			map[string]string{version: "1.0.0", sourceKey: "https://example.com/org/app.git", revision: "main@sha1:" + commit, created: at}},
		"anything": {pack.Options{Type: pack.Generic}, nil,
			map[string]string{version: "1.0.0", sourceKey: "https://example.com/org/app.git", revision: commit, created: at}},
		"a folder of the work tree": {pack.Options{Type: pack.Generic, Dir: filepath.Join(dir, "templates")}, nil,
			map[string]string{version: "1.0.0", sourceKey: "https://example.com/org/app.git", revision: commit, created: at}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.options.Dir == "" {
				tt.options.Dir = dir
			}
			tt.options.Getenv = func(key string) string { return tt.env[key] }
			packed := mustPack(t, tt.options)
			if diff := cmp.Diff(tt.want, manifest(t, packed.Image).Annotations); diff != "" {
				t.Errorf("(-expected +found):\n%s", diff)
			}
			if len(packed.Notes) > 0 {
				t.Errorf("expected no notes, found %q", packed.Notes)
			}
		})
	}
}

func TestAnnotationsWithoutGit(t *testing.T) {
	tests := map[pack.Type]map[string]string{
		pack.Timoni:  {version: "1.0.0"},
		pack.Generic: {version: "1.0.0"},
		pack.Flux:    {version: "1.0.0", sourceKey: "", revision: "", created: "1970-01-01T00:00:00Z"},
	}
	for kind, want := range tests {
		t.Run(string(kind), func(t *testing.T) {
			packed := mustPack(t, pack.Options{Dir: module(t, nil), Type: kind})
			if diff := cmp.Diff(want, manifest(t, packed.Image).Annotations); diff != "" {
				t.Errorf("(-expected +found):\n%s", diff)
			}
			if len(packed.Notes) > 0 {
				t.Errorf("expected no notes, found %q", packed.Notes)
			}
		})
	}
}

// Timoni leaves the annotations out and says nothing; we say so.
func TestGitThatDoesNotTell(t *testing.T) {
	dir := module(t, map[string]string{".git": "gitdir: nowhere\n", "timoni.ignore": ".git\n"})
	for name, path := range map[string]string{"a broken work tree": os.Getenv("PATH"), "no command": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", path)
			packed := mustPack(t, pack.Options{Dir: dir, Type: pack.Timoni})
			if diff := cmp.Diff(map[string]string{version: "1.0.0"}, manifest(t, packed.Image).Annotations); diff != "" {
				t.Errorf("(-expected +found):\n%s", diff)
			}
			if len(packed.Notes) != 1 || !strings.Contains(packed.Notes[0], "git") || !strings.Contains(packed.Notes[0], sourceKey) {
				t.Errorf("expected one note about git, found %q", packed.Notes)
			}
		})
	}
}

// GitLab CI, for one, clones with a token in the URL.
func TestNoPasswordOfTheRemoteIsPublished(t *testing.T) {
	for remote, want := range map[string]string{
		"https://gitlab-ci-token:s3cret@gitlab.example.com/org/app.git": "https://gitlab.example.com/org/app.git",
		"https://s3cret@github.com/org/app":                             "https://github.com/org/app",
		"https://user:s3cret#1@gitlab.example.com/org/app.git":          "",
		"https://user:s3cret%zz@gitlab.example.com/org/app":             "",
		"https://gitlab.example.com/org/app.git?private_token=s3cret":   "https://gitlab.example.com/org/app.git",
		"ssh://git:s3cret@example.com/app":                              "ssh://example.com/app",
		"ssh://git@example.com/app":                                     "ssh://git@example.com/app",
		"git@example.com:org/app.git":                                   "git@example.com:org/app.git",
	} {
		t.Run(remote, func(t *testing.T) {
			dir := module(t, map[string]string{"timoni.ignore": ".git/\n"})
			workTree(t, dir, remote)
			packed := mustPack(t, pack.Options{Dir: dir, Type: pack.Timoni})
			if found := manifest(t, packed.Image).Annotations[sourceKey]; found != want {
				t.Errorf("expected %s, found %s", want, found)
			}
			raw, err := packed.Image.RawManifest()
			if err != nil || strings.Contains(string(raw), "s3cret") {
				t.Errorf("expected no secret, found %s, %v", raw, err)
			}
		})
	}
}

func TestImages(t *testing.T) {
	const images = "sh.timoni.images"
	tests := map[string]struct {
		cue         string
		annotations map[string]string
		want        string
	}{
		"none": {cue: "values: {}\n"},
		"some": {cue: `
values: {
	web: image: {
		repository: *"ghcr.io/org/web" | string
		tag:        *"1.2.3" | string
		digest:     *"" | string
	}
	job: image: {repository: "ghcr.io/org/job", digest: "sha256:` + strings.Repeat("a", 64) + `"}
	same: image: {repository: "ghcr.io/org/web", tag: "1.2.3"}
	notAnImage: repository: "ghcr.io/org/none"
}
`, want: "ghcr.io/org/job@sha256:" + strings.Repeat("a", 64) + ",ghcr.io/org/web:1.2.3"},
		"given": {cue: `values: image: {repository: "a", tag: "1"}`, annotations: map[string]string{images: "mine"}, want: "mine"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			packed := mustPack(t, pack.Options{Dir: module(t, map[string]string{"images.cue": tt.cue}), Type: pack.Timoni, Annotations: tt.annotations})
			if found := manifest(t, packed.Image).Annotations[images]; found != tt.want {
				t.Errorf("expected %q, found %q", tt.want, found)
			}
		})
	}
}
