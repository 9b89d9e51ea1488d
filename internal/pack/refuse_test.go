package pack_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/pack"
)

func TestPackRefuses(t *testing.T) {
	large := strings.Repeat("x", 1<<10)
	tests := map[string]struct {
		options pack.Options
		is      error
		reason  artifact.Reason
		say     []string
	}{
		"nothing there":      {pack.Options{Dir: filepath.Join(t.TempDir(), "none"), Type: pack.Timoni}, pack.ErrFolder, "", []string{"none"}},
		"a file":             {pack.Options{Dir: filepath.Join(module(t, nil), "timoni.cue"), Type: pack.Timoni}, pack.ErrFolder, "", []string{"timoni.cue"}},
		"no timoni.cue":      {pack.Options{Dir: folder(t, map[string]string{"cue.mod/module.cue": ""}), Type: pack.Timoni}, pack.ErrNotAModule, "", []string{"timoni.cue"}},
		"no cue.mod":         {pack.Options{Dir: folder(t, map[string]string{"timoni.cue": ""}), Type: pack.Timoni}, pack.ErrNotAModule, "", []string{"cue.mod"}},
		"another type":       {pack.Options{Dir: module(t, nil), Type: "helm"}, nil, "", []string{"helm", "timoni"}},
		"an empty folder":    {pack.Options{Dir: folder(t, nil), Type: pack.Flux}, nil, artifact.ReasonArtifactInvalid, []string{"at least one file"}},
		"everything ignored": {pack.Options{Dir: folder(t, map[string]string{"a.png": "", ".gitignore": ""}), Type: pack.Flux}, nil, artifact.ReasonArtifactInvalid, []string{"at least one file"}},
		"too many files": {pack.Options{Dir: folder(t, map[string]string{"a": "", "b": "", "c": ""}), Type: pack.Generic, Limits: artifact.Limits{Files: 3}},
			nil, artifact.ReasonArtifactTooLarge, []string{"at most 3", `"c"`}},
		// Each layer keeps to it, together they do not: the root and cue.mod count
		// in each.
		"too many files in all layers": {pack.Options{Dir: module(t, nil), Type: pack.Timoni, Limits: artifact.Limits{Files: 8}},
			nil, artifact.ReasonArtifactTooLarge, []string{"8 entries in all layers"}},
		"too many bytes": {pack.Options{Dir: folder(t, map[string]string{"a": large, "b": large}), Type: pack.Generic, Limits: artifact.Limits{ArchiveBytes: 2<<10 - 1}},
			nil, artifact.ReasonArtifactTooLarge, []string{"2047 bytes", `"b"`}},
		// As many bytes as there may be, but the archive of them is larger.
		"too many bytes of layers": {pack.Options{Dir: folder(t, map[string]string{"a": rand.Text() + rand.Text()}), Type: pack.Generic, Limits: artifact.Limits{ArchiveBytes: 52}},
			nil, artifact.ReasonArtifactTooLarge, []string{"52 bytes of compressed layers"}},
		"a ratio that looks like a bomb": {pack.Options{Dir: folder(t, map[string]string{"a": strings.Repeat("x", 2<<20)}), Type: pack.Generic, Limits: artifact.Limits{Ratio: 2}},
			nil, artifact.ReasonArtifactTooLarge, []string{"compression ratio"}},
		"a name that others split": {pack.Options{Dir: folder(t, map[string]string{`a\b`: ""}), Type: pack.Generic},
			nil, artifact.ReasonArtifactInvalid, []string{"backslash"}},
		"a name with a control character": {pack.Options{Dir: folder(t, map[string]string{"a\nb": ""}), Type: pack.Generic},
			nil, artifact.ReasonArtifactInvalid, []string{"control character"}},
		"a time that is none": {pack.Options{Dir: folder(t, map[string]string{"a": ""}), Type: pack.Flux, Annotations: map[string]string{"org.opencontainers.image.created": "today"}},
			nil, "", []string{"org.opencontainers.image.created", "today"}},
		"limits out of bounds": {pack.Options{Dir: module(t, nil), Type: pack.Timoni, Limits: artifact.Limits{Files: -1}}, nil, "", []string{"Limits.Files"}},
		"images that are none": {pack.Options{Dir: module(t, map[string]string{"images.cue": `values: image: {repository: "A B", tag: "1"}`}), Type: pack.Timoni},
			nil, "", []string{"images.cue", "values.image", "A B"}},
		"images that are no CUE": {pack.Options{Dir: module(t, map[string]string{"images.cue": `values: {`}), Type: pack.Timoni}, nil, "", []string{"images.cue"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			tt.options.Version = "1.0.0"
			packed, err := pack.Pack(t.Context(), tt.options)
			if err == nil {
				t.Fatalf("expected an error, found %+v", packed)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("expected %v, found %v", tt.is, err)
			}
			if typed := (*artifact.Error)(nil); tt.reason != "" && (!errors.As(err, &typed) || typed.Reason != tt.reason) {
				t.Errorf("expected an error of %s, found %v", tt.reason, err)
			}
			for _, text := range tt.say {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("expected the error to say %q, found %v", text, err)
				}
			}
			if left, err := os.ReadDir(temp); len(left) > 0 || err != nil {
				t.Errorf("expected no temporary file, found %v, %v", left, err)
			}
		})
	}
}

// What is ignored is not worth a word.
func TestPackDoesNotReportWhatIsIgnored(t *testing.T) {
	dir := module(t, map[string]string{"scratch/note": ""})
	if err := os.Symlink("note", filepath.Join(dir, "scratch", "link")); err != nil {
		t.Fatal(err)
	}
	if packed := mustPack(t, pack.Options{Dir: dir, Type: pack.Timoni}); len(packed.Skipped) > 0 {
		t.Errorf("expected nothing skipped, found %q", packed.Skipped)
	}
}

func TestPackThroughALink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(module(t, nil), link); err != nil {
		t.Fatal(err)
	}
	packed, err := pack.Pack(t.Context(), pack.Options{Dir: link, Type: pack.Timoni, Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	if want := mustPack(t, pack.Options{Dir: module(t, nil), Type: pack.Timoni}); packed.Digest != want.Digest {
		t.Errorf("expected the digest of the folder, %s, found %s", want.Digest, packed.Digest)
	}
}

func TestPackOfWhatCannotBeRead(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := module(t, nil)
	if err := os.Chmod(filepath.Join(dir, "values.cue"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := pack.Pack(t.Context(), pack.Options{Dir: dir, Type: pack.Timoni, Version: "1.0.0"}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("expected an error of permission, found %v", err)
	}
}

func TestPackEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pack.Pack(ctx, pack.Options{Dir: module(t, nil), Type: pack.Timoni, Version: "1.0.0"}); !errors.Is(err, context.Canceled) {
		t.Errorf("expected the error of the context, found %v", err)
	}
}
