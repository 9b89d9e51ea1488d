package artifact

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/assay-dev/assay/internal/verify"
)

// Extracted is what Extract wrote.
type Extracted struct {
	// Files is how many files were written; at least one.
	Files int
	// Bytes is how many bytes they have together.
	Bytes int64
}

// Extract merges the layers, in their order, as [Store.Publish] does, and writes
// the tree into dir, a folder that it makes and that must not be there before:
// regular files of mode 0755 where anybody may execute them and 0644 otherwise,
// both less the umask, and the folders above them. It writes what the archive
// would hold and nothing else: a folder without a file is left out.
//
// The zero [verify.Verified] is refused before anything else. The error is an
// *Error of any [Reason], that of ctx, or another one for limits out of bounds;
// what is in dir is then incomplete, and the caller removes it. While it works,
// the folder that dir is in holds one more file.
func Extract(ctx context.Context, v verify.Verified, layers []Layer, dir string, limits Limits) (_ Extracted, err error) {
	if v.IsZero() {
		return Extracted{}, invalid("expected a verified digest, found none")
	}
	limits, err = limits.WithDefaults()
	if err != nil {
		return Extracted{}, err
	}
	spool, err := os.CreateTemp(filepath.Dir(dir), spoolFile+"-")
	if err != nil {
		return Extracted{}, storageFailed("making the spool", err)
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()

	files, err := merge(limits, spool, layers)
	if err != nil {
		return Extracted{}, err
	}
	return extractFiles(ctx, dir, files, spool)
}

func extractFiles(ctx context.Context, dir string, files []file, contents io.ReaderAt) (Extracted, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return Extracted{}, storageFailed("making the folder", err)
	}
	// Names were checked when they were read. The root holds them to the folder
	// a second time, by means of the operating system.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Extracted{}, storageFailed("opening the folder", err)
	}
	defer root.Close()
	var done Extracted
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return Extracted{}, err
		}
		if err := extractFile(root, f, contents); err != nil {
			return Extracted{}, storageFailed("writing the file "+quote(f.name), err)
		}
		done.Files++
		done.Bytes += f.size
	}
	return done, nil
}

func extractFile(root *os.Root, f file, contents io.ReaderAt) error {
	if above := path.Dir(f.name); above != "." {
		if err := root.MkdirAll(above, 0o755); err != nil {
			return err
		}
	}
	mode := fs.FileMode(0o644)
	if f.executable {
		mode = 0o755
	}
	// Exclusively: a file system that takes two names for one must not have the
	// second replace the first.
	w, err := root.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, io.NewSectionReader(contents, f.offset, f.size))
	if err == nil && n != f.size {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, w.Close())
}

// Preview reads the layers as [Store.Publish] and [Extract] do, and says what
// they would write: who packs an artifact learns before it is pushed that it
// would be refused. It writes nothing, and proves nothing. The error is an
// *Error of any [Reason], or another one for limits out of bounds.
func Preview(layers []Layer, limits Limits) (Extracted, error) {
	limits, err := limits.WithDefaults()
	if err != nil {
		return Extracted{}, err
	}
	files, err := merge(limits, io.Discard, layers)
	if err != nil {
		return Extracted{}, err
	}
	done := Extracted{Files: len(files)}
	for _, f := range files {
		done.Bytes += f.size
	}
	return done, nil
}
