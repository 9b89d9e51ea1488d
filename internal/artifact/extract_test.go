package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/verify"
)

// extract extracts layers, and returns what readArchive would of their archive.
// That Preview says the same of them is checked too.
func extract(t *testing.T, layers ...[]byte) map[string]string {
	t.Helper()
	v, _ := verified(t)
	files := layersOnDisk(t, layers...)
	temp := t.TempDir()
	extracted, err := Extract(t.Context(), v, files, filepath.Join(temp, "tree"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	preview, err := Preview(files, Limits{})
	if diff := cmp.Diff(extracted, preview); diff != "" || err != nil {
		t.Errorf("extracted, and in the preview, which ended with %v (-extracted +preview):\n%s", err, diff)
	}
	if left := names(t, temp); len(left) != 1 {
		t.Errorf("expected nothing beside the tree, found %q", left)
	}
	found := readTree(t, filepath.Join(temp, "tree"))
	if len(found) != extracted.Files {
		t.Errorf("expected %d files, found %d", extracted.Files, len(found))
	}
	return found
}

func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, name)
		found[filepath.ToSlash(below)] = fmt.Sprintf("%o %s", info.Mode(), body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}

// refuseToExtract wants Extract and Preview to refuse what Publish refused, with
// the same text, and no folder made.
func refuseToExtract(t *testing.T, limits Limits, layers [][]byte, text string) {
	t.Helper()
	v, _ := verified(t)
	files := layersOnDisk(t, layers...)
	temp := t.TempDir()
	if _, err := Extract(t.Context(), v, files, filepath.Join(temp, "tree"), limits); err == nil || err.Error() != text {
		t.Errorf("expected Extract to say what Publish says, %q, found: %v", text, err)
	}
	if left := names(t, temp); len(left) > 0 {
		t.Errorf("expected nothing on the disk, found %q", left)
	}
	if _, err := Preview(files, limits); err == nil || err.Error() != text {
		t.Errorf("expected Preview to say what Publish says, %q, found: %v", text, err)
	}
}

func TestExtractRefusesWhatIsNotVerified(t *testing.T) {
	temp := t.TempDir()
	_, err := Extract(t.Context(), verify.Verified{}, layersOnDisk(t, layer(regular("a", "1"))), filepath.Join(temp, "tree"), Limits{})
	var typed *Error
	if !errors.As(err, &typed) || typed.Reason != ReasonArtifactInvalid {
		t.Errorf("expected an *Error of %s, found %v", ReasonArtifactInvalid, err)
	}
	if left := names(t, temp); len(left) > 0 {
		t.Errorf("expected nothing on the disk, found %q", left)
	}
}

func TestExtractIntoWhatIsThere(t *testing.T) {
	v, _ := verified(t)
	temp := t.TempDir()
	_, err := Extract(t.Context(), v, layersOnDisk(t, layer(regular("a", "1"))), temp, Limits{})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("expected an error of what exists, found %v", err)
	}
	if left := names(t, temp); len(left) > 0 {
		t.Errorf("expected nothing in the folder, found %q", left)
	}
}

func TestExtractEndsWithItsContext(t *testing.T) {
	v, _ := verified(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	temp := t.TempDir()
	_, err := Extract(ctx, v, layersOnDisk(t, layer(regular("a", "1"))), filepath.Join(temp, "tree"), Limits{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("expected the error of the context, found %v", err)
	}
	if found := readTree(t, filepath.Join(temp, "tree")); len(found) > 0 {
		t.Errorf("expected no file, found %q", found)
	}
}
