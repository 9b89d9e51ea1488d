package artifact

import (
	"errors"
	"testing"
)

// The contents of all files count, not those of neighbours alone.
func TestContentsOfManyFilesCount(t *testing.T) {
	items := []item{regular("a", "0123"), regular("b", "0"), regular("c", "0123"), regular("d", "0")}
	for files, want := range map[int]Reason{3: "", 4: ReasonArtifactTooLarge} {
		for _, layers := range [][][]byte{{layer(items[:files]...)}, {layer(items[:2]...), layer(items[2:files]...)}} {
			_, err := newStore(t, Options{Limits: Limits{ArchiveBytes: 9}}).build(t.TempDir(), layersOnDisk(t, layers...))
			var found Reason
			var typed *Error
			if errors.As(err, &typed) {
				found = typed.Reason
			}
			if found != want {
				t.Errorf("%d files in %d layers: expected %q, found %q", files, len(layers), want, found)
			}
		}
	}
}

// A layer may grow to so many times its size, and no further; the first MiB is
// free.
func TestStreamBytesAreExact(t *testing.T) {
	for compressed, want := range map[int64]int64{0: 1 << 20, 1: 1 << 20, 5242: 1 << 20, 5243: 1_048_600, 1 << 20: 200 << 20} {
		if got := (Limits{Ratio: 200}).streamBytes(compressed); got != want {
			t.Errorf("of %d: expected %d, found %d", compressed, want, got)
		}
	}
}
