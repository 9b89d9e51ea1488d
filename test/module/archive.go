package module

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// The modes of what is in an archive. Timoni and Flux take them from the disk;
// the root of the fixtures was made by mktemp, hence its mode.
const (
	rootMode = 0o700
	dirMode  = 0o755
	fileMode = 0o644
)

// Archive packs files into a tar+gzip stream as Timoni and Flux do: every
// directory as an entry of its own, the root as ".", without times and owners,
// in the order in which a file tree is walked. Paths are taken as they are:
// what a hostile archive holds can be made with [archive/tar] and [Raw].
func Archive(files map[string]string) ([]byte, error) {
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	archive := tar.NewWriter(compressed)
	for _, header := range headers(files) {
		if err := writeEntry(archive, header, files[header.Name]); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(archive.Close(), compressed.Close()); err != nil {
		return nil, fmt.Errorf("closing the archive: %w", err)
	}
	return out.Bytes(), nil
}

func writeEntry(archive *tar.Writer, header *tar.Header, content string) error {
	if err := archive.WriteHeader(header); err != nil {
		return fmt.Errorf("archiving %q: %w", header.Name, err)
	}
	if header.Typeflag == tar.TypeDir {
		return nil
	}
	if _, err := archive.Write([]byte(content)); err != nil {
		return fmt.Errorf("archiving %q: %w", header.Name, err)
	}
	return nil
}

// headers lists the entries for files, their directories among them.
func headers(files map[string]string) []*tar.Header {
	entries := map[string]*tar.Header{
		".": {Typeflag: tar.TypeDir, Name: ".", Mode: rootMode},
	}
	for name, content := range files {
		entries[name] = &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: fileMode, Size: int64(len(content))}
		for dir := path.Dir(name); entries[dir] == nil && dir != "/"; dir = path.Dir(dir) {
			entries[dir] = &tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: dirMode}
		}
	}
	list := make([]*tar.Header, 0, len(entries))
	for _, header := range entries {
		list = append(list, header)
	}
	slices.SortFunc(list, func(a, b *tar.Header) int {
		return strings.Compare(walkOrder(a.Name), walkOrder(b.Name))
	})
	return list
}

// walkOrder maps a path to what sorts as a walk of the file tree does: by name
// within each directory, and a directory's content right behind it.
func walkOrder(name string) string {
	if name == "." {
		return ""
	}
	return strings.ReplaceAll(name, "/", "\x00")
}
