//go:build unix

package pack_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/pack"
)

func TestPackSkipsWhatIsNoFile(t *testing.T) {
	dir := module(t, nil)
	outside := folder(t, map[string]string{"secret": "s"})
	for link, target := range map[string]string{
		"link.cue": "timoni.cue", "templates/outside": outside, "broken": "nowhere", "cue.mod/link": "module.cue",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	packed := mustPack(t, pack.Options{Dir: dir, Type: pack.Timoni})
	if diff := cmp.Diff([]string{"broken", "cue.mod/link", "fifo", "link.cue", "templates/outside"}, packed.Skipped); diff != "" {
		t.Errorf("skipped (-expected +found):\n%s", diff)
	}
	if plain := mustPack(t, pack.Options{Dir: module(t, nil), Type: pack.Timoni}); packed.Digest != plain.Digest {
		t.Errorf("expected the digest without them, %s, found %s", plain.Digest, packed.Digest)
	}
}
