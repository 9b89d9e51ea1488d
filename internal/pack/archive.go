package pack

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/assay-dev/assay/internal/artifact"
)

// archiver writes the files of a folder as Timoni and Flux do: every folder is
// an entry of its own, the root ".", in the order of a walk, with the modes of
// the disk, and without times and owners.
type archiver struct {
	ctx     context.Context
	dir     string
	ignored func(path string, isFolder bool) bool
	skipped map[string]bool
	w       *tar.Writer
	// room and entries are what the limits leave. The layers are read back
	// anyway; this is so that a whole disk is not packed before.
	room    int64
	entries int
	limits  artifact.Limits
}

// archive writes dir to w, without what spec ignores, and adds what is skipped.
func archive(ctx context.Context, w io.Writer, dir string, spec layerSpec, limits artifact.Limits, skipped map[string]bool) error {
	zipped := gzip.NewWriter(w)
	a := &archiver{
		ctx: ctx, dir: dir, ignored: matcher(dir, spec.ignore), skipped: skipped,
		w: tar.NewWriter(zipped), room: limits.ArchiveBytes, entries: limits.Files, limits: limits,
	}
	if err := filepath.WalkDir(dir, a.visit); err != nil {
		return err
	}
	return errors.Join(a.w.Close(), zipped.Close())
}

func (a *archiver) visit(path string, found fs.DirEntry, err error) error {
	if err = errors.Join(err, a.ctx.Err()); err != nil {
		return err
	}
	relative, err := filepath.Rel(a.dir, path)
	if err != nil {
		return err
	}
	relative = filepath.ToSlash(relative)
	isFile := found.Type().IsRegular()
	if a.ignored(path, found.IsDir()) {
		// Not the whole folder: a pattern may bring back what is in it.
		return nil
	}
	if !isFile && !found.IsDir() {
		a.skipped[relative] = true
		return nil
	}
	info, err := found.Info()
	if err != nil {
		return err
	}
	if err := a.fits(relative, info); err != nil {
		return err
	}
	if err := a.header(relative, info); err != nil || !isFile {
		return err
	}
	return a.contents(path, relative)
}

// fits keeps the limits before anything is written.
func (a *archiver) fits(name string, info fs.FileInfo) error {
	if a.entries--; a.entries < 0 {
		return &artifact.Error{Reason: artifact.ReasonArtifactTooLarge, Err: fmt.Errorf(
			"expected at most %d files and folders, found more: %q; the folder packed is %q", a.limits.Files, name, a.dir)}
	}
	if info.Mode().IsRegular() {
		if a.room -= info.Size(); a.room < 0 {
			return &artifact.Error{Reason: artifact.ReasonArtifactTooLarge, Err: fmt.Errorf(
				"expected at most %d bytes in all files, found more: %q of %d bytes is beyond", a.limits.ArchiveBytes, name, info.Size())}
		}
	}
	return nil
}

func (a *archiver) header(name string, info fs.FileInfo) error {
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	// FileInfoHeader ends the name of a folder with a slash; they do not.
	header.Name = name
	header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
	header.ModTime, header.AccessTime, header.ChangeTime = time.Time{}, time.Time{}, time.Time{}
	if err := a.w.WriteHeader(header); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return nil
}

func (a *archiver) contents(path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(a.w, f)
	// Flush fails if the file was shorter than it was a moment ago.
	if err = errors.Join(err, a.w.Flush()); err != nil {
		return fmt.Errorf("%q: packing it, or it was changed meanwhile: %w", name, err)
	}
	return nil
}
