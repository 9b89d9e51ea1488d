package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// place is where a folder is to be put, in one step. Everything is made in a
// temporary folder beside it, on the same file system.
type place struct {
	// given is how the user wrote it.
	given string
	// top is what appears in that step: the folder itself, or the first folder
	// above it that is not there yet. It is absolute and without links.
	top string
	// below is the way from top to the folder; "." for itself.
	below string
	// found is the folder that is there; nil for none.
	found fs.FileInfo
	force bool
}

// newPlace looks at what is there, and refuses what would not be put in place
// later.
func newPlace(dir string, force bool) (*place, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	p := &place{given: dir, top: path, below: ".", force: force}
	info, err := os.Stat(path)
	switch {
	case err == nil:
		p.found = info
		if p.top, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
		return p, p.checkFound()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, usageError("", "--output: expected a folder, or nothing yet: %v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, usageError("", "--output: expected a folder, or nothing yet, found a link that leads nowhere: %q", dir)
	}
	return p, p.findAbove()
}

// findAbove finds the first folder above that is there.
func (p *place) findAbove() error {
	for above := filepath.Dir(p.top); ; above = filepath.Dir(p.top) {
		real, err := filepath.EvalSymlinks(above)
		if err == nil {
			p.top = filepath.Join(real, filepath.Base(p.top))
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) || above == p.top {
			return usageError("", "--output: expected a folder, or nothing yet: %v", err)
		}
		p.below = filepath.Join(filepath.Base(p.top), p.below)
		p.top = above
	}
}

// checkFound is for a place where something is.
func (p *place) checkFound() error {
	if !p.found.IsDir() {
		return usageError("", "--output: expected a folder, found the file %q", p.given)
	}
	if here, err := workingFolder(); err == nil && isBelow(here, p.top) {
		return usageError("--output ./my-module", "--output: expected a folder beside or below the one that you are in, found the one that you are in, or one above it: %q", p.given)
	}
	entries, err := os.ReadDir(p.top)
	if err != nil {
		return usageError("", "--output: %v", err)
	}
	if len(entries) > 0 && !p.force {
		return usageError("--force, to replace it", "--output: expected an empty folder, or nothing yet, found %q with files in it", p.given)
	}
	if len(entries) > 0 && !canExchange {
		return usageError("", "--output: expected an empty folder, or nothing yet: %v", errExchange)
	}
	return nil
}

var errExchange = errors.New("this operating system cannot replace a folder in one step: remove it first")

func workingFolder() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(here)
}

// isBelow reports whether path is folder or below it.
func isBelow(path, folder string) bool {
	way, err := filepath.Rel(folder, path)
	return err == nil && way != ".." && !strings.HasPrefix(way, ".."+string(filepath.Separator))
}

// workFolder is a temporary folder beside the place.
type workFolder struct {
	dir string
	// layers is an empty folder for what is pulled.
	layers string
	// top is what will be moved, and tree the folder in it that is wanted, which
	// is not there yet.
	top, tree string
}

// open makes the temporary folder. The caller closes it.
func (p *place) open() (*workFolder, error) {
	dir, err := os.MkdirTemp(filepath.Dir(p.top), ".assay-pull-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary folder beside %q: %w", p.given, err)
	}
	w := &workFolder{dir: dir, layers: filepath.Join(dir, "layers"), top: filepath.Join(dir, "tree")}
	w.tree = filepath.Join(w.top, p.below)
	if err := errors.Join(os.Mkdir(w.layers, 0o700), os.MkdirAll(filepath.Dir(w.tree), 0o755)); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *workFolder) close() error { return os.RemoveAll(w.dir) }

// put puts the folder in place: the last moment to be interrupted.
func (p *place) put(ctx context.Context, w *workFolder) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p.found != nil {
		// Whoever may not look into the folder now shall not be able to later.
		if err := os.Chmod(w.tree, p.found.Mode().Perm()); err != nil {
			return err
		}
	}
	err := moveFolder(w.top, p.top)
	if p.force && p.found != nil && errors.Is(err, fs.ErrExist) {
		err = exchange(w.top, p.top)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%q was filled by somebody else meanwhile: nothing was put there", p.given)
	}
	if err != nil {
		return fmt.Errorf("putting %q in place: %w", p.given, err)
	}
	return nil
}
