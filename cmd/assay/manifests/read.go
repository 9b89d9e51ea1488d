package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what is read. What a repository renders for one cluster is far below.
const (
	maxFileBytes  = 32 << 20
	maxTotalBytes = 256 << 20
	maxFiles      = 20_000
)

// Set is what manifests hold, in the order in which they were named.
type Set struct {
	// Objects are the ModuleSources, and what they may name.
	Objects []*Object
	// Problems are documents that cannot be read.
	Problems []Problem
	// Files is how many were read.
	Files int
	// Kustomizations are the folders that hold a kustomization, whose patches and
	// generators are not applied.
	Kustomizations []string

	bytes int64
	seen  map[string]bool
}

// NotFoundError says that there is no file or folder of a name.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("expected a file, a folder or - for standard input, found nothing at %.300q", e.Name)
}

// Read reads files, folders and standard input. Of a folder it reads the files
// that end in .yaml, .yml and .json, in all folders below it, in the order of
// their names; what begins with a period is left out. A symbolic link to a
// file is followed as long as it stays in the folder; one that leads out of it is
// a problem, and one to a folder is not followed.
//
// An error is one of reading, and of type *NotFoundError where there is nothing
// of the name. A standard input with nothing in it is one too. What is wrong
// inside a file is among the problems.
func Read(names []string, stdin io.Reader) (*Set, error) {
	s := &Set{seen: map[string]bool{}}
	for _, name := range names {
		if err := s.add(name, stdin); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Set) add(name string, stdin io.Reader) error {
	if name == Stdin {
		return s.read(Stdin, func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil })
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &NotFoundError{Name: name}
	case err != nil:
		return unreadableFile(name, err)
	case info.IsDir():
		return s.folder(name)
	default:
		return s.read(filepath.ToSlash(filepath.Clean(name)), func() (io.ReadCloser, error) { return os.Open(name) })
	}
}

// folder reads the manifests of a folder. Nothing outside of it is opened.
func (s *Set) folder(name string) error {
	root, err := os.OpenRoot(name)
	if err != nil {
		return unreadableFile(name, err)
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return unreadableFile(filepath.Join(name, at), err)
		}
		shown := path.Join(filepath.ToSlash(filepath.Clean(name)), at)
		switch {
		case at != "." && strings.HasPrefix(entry.Name(), ".") && entry.IsDir():
			return fs.SkipDir
		case entry.IsDir() || strings.HasPrefix(entry.Name(), "."):
			return nil
		case isKustomization(entry.Name()):
			if s.isFirst(shown) {
				s.Kustomizations = append(s.Kustomizations, path.Dir(shown))
			}
			return nil
		case !isManifest(entry.Name()):
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			return s.link(root, at, shown)
		case !entry.Type().IsRegular():
			return nil
		}
		return s.read(shown, func() (io.ReadCloser, error) { return root.Open(at) })
	})
}

// link reads what a symbolic link leads to. The root opens nothing outside of
// itself.
func (s *Set) link(root *os.Root, at, shown string) error {
	isFile, isThere := regular(root, at)
	if !isThere && s.isFirst(shown) {
		s.Problems = append(s.Problems, Problem{Position: Position{File: shown},
			Message: "expected a symbolic link to a file in the folder that is checked, found one that leads out of it, or nowhere: name what it leads to with -f"})
	}
	if !isFile {
		return nil
	}
	return s.read(shown, func() (io.ReadCloser, error) { return root.Open(at) })
}

// regular reports whether a link leads to a file, and whether to anything at all.
func regular(root *os.Root, at string) (isFile, isThere bool) {
	info, err := root.Stat(at)
	return err == nil && info.Mode().IsRegular(), err == nil
}

// isFirst reports whether a file is met for the first time: folders that are named
// may hold each other.
func (s *Set) isFirst(name string) bool {
	before := s.seen[name]
	s.seen[name] = true
	return !before
}

func (s *Set) read(name string, open func() (io.ReadCloser, error)) error {
	if !s.isFirst(name) {
		return nil
	}
	if s.Files++; s.Files > maxFiles {
		return fmt.Errorf("expected at most %d files, found more: name fewer folders", maxFiles)
	}
	f, err := open()
	if err != nil {
		return unreadableFile(name, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		err = fmt.Errorf("expected at most %d bytes, found more", maxFileBytes)
	}
	if err != nil {
		return unreadableFile(name, err)
	}
	if name == Stdin && len(bytes.TrimSpace(content)) == 0 {
		return errNoInput
	}
	if s.bytes += int64(len(content)); s.bytes > maxTotalBytes {
		return fmt.Errorf("expected at most %d bytes in all files, found more: name fewer folders", maxTotalBytes)
	}
	(&parser{file: name, set: s}).parse(content)
	return nil
}

// errNoInput is for what a command left that failed: in a pipe its exit code is
// lost, and nothing to verify would be taken for verified.
var errNoInput = errors.New("expected manifests on standard input, found nothing: did the command fail that writes them?")

// unreadableFile is an error about a file, whose name is another's text: a line
// of its own would be a command to a CI system.
func unreadableFile(name string, err error) error {
	return fmt.Errorf("%s: %w", printable(Position{File: name}.String(), 300), withoutPath(err))
}

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(path.Ext(name)))
}

// isKustomization is by the names that kustomize looks for.
func isKustomization(name string) bool {
	return slices.Contains([]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}, name)
}
