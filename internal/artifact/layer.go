package artifact

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
)

// addLayer reads one layer, of that many compressed bytes, to its end and adds
// its entries to the tree. Its digest must have been checked before.
func (t *tree) addLayer(r io.Reader, compressed int64) error {
	t.layers++
	source := &source{r: r}
	stream := &meter{overhead: &t.overhead, limits: t.limits, most: t.limits.streamBytes(compressed), layer: t.layers}
	err := t.readLayer(bufio.NewReaderSize(source, 64<<10), stream)

	// Whose fault it is: the disk's is asked for first, since a reader may put
	// an error of its own in the place of that of whom it reads from.
	var own *Error
	switch {
	case err == nil:
		return nil
	case source.err != nil:
		return storageFailed("reading a layer", source.err)
	case t.spool.err != nil:
		return storageFailed("spooling the files of the layers", t.spool.err)
	case errors.As(err, &own):
		return own
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("layer %d: expected tar and gzip to their end, found it cut short", t.layers)
	default:
		// The errors of archive/tar and compress repeat nothing of the content.
		return invalid("layer %d: expected tar and gzip, found something else: %w", t.layers, err)
	}
}

// readLayer reads compressed to its end: entries, the padding after them, the
// gzip trailer, and nothing more. A byte that is left over could be read
// differently by somebody else.
func (t *tree) readLayer(compressed *bufio.Reader, stream *meter) error {
	unzipped, err := gzip.NewReader(compressed)
	if err != nil {
		return err
	}
	// RFC 1952, section 2.2, lets members follow one another. Not here: there
	// is one stream to judge.
	unzipped.Multistream(false)
	stream.r = unzipped

	if err := t.readEntries(tar.NewReader(stream)); err != nil {
		return err
	}
	if err := t.readPadding(stream); err != nil {
		return err
	}
	switch _, err := compressed.ReadByte(); {
	case err == nil:
		return invalid("layer %d: expected the end of the layer after one gzip stream, found more bytes", t.layers)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

func (t *tree) readEntries(r *tar.Reader) error {
	for {
		header, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, tar.ErrInsecurePath):
			// GODEBUG=tarinsecurepath=0; cleanName says it better.
		case err != nil:
			return err
		}
		if t.read++; t.read > t.limits.Files {
			return tooLarge("layer %d: expected at most %d entries in all layers (the limit on an artifact's files), found more than %d",
				t.layers, t.limits.Files, t.limits.Files)
		}
		if err := t.readEntry(header, r); err != nil {
			return err
		}
	}
}

// readEntry adds one entry to the tree, and its contents to the spool.
func (t *tree) readEntry(header *tar.Header, contents io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return t.checkGlobal(header)
	}
	if err := t.checkType(header); err != nil {
		return err
	}
	isFolder := header.Typeflag == tar.TypeDir
	name, err := cleanName(header.Name, isFolder)
	if err != nil {
		return invalid("layer %d: entry %s: %w", t.layers, quote(header.Name), err)
	}
	added := entry{layer: t.layers, isFolder: isFolder, file: file{
		name:       name,
		offset:     t.spool.n,
		size:       header.Size,
		executable: header.Mode&0o111 != 0,
	}}
	if err := t.put(added); err != nil {
		return err
	}
	// Before a byte of the contents is read, and without adding up, since a
	// header may say 2^63-1.
	if header.Size > t.limits.ArchiveBytes-t.contents {
		return tooLarge("layer %d: entry %s: expected at most %d uncompressed bytes in all files of all layers (the limit on an artifact's size), found more than %d",
			t.layers, quote(name), t.limits.ArchiveBytes, t.limits.ArchiveBytes)
	}
	t.contents += header.Size
	t.overhead += header.Size // The meter cannot tell it from overhead.
	_, err = io.CopyBuffer(t.spool, contents, t.buffer)
	return err
}

// checkType lets regular files and folders through.
func (t *tree) checkType(header *tar.Header) error {
	found := ""
	switch header.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir:
		if header.Size != 0 {
			// Some readers skip that many bytes, others do not.
			found = "a folder with contents"
		}
	case tar.TypeLink:
		found = "a hard link"
	case tar.TypeSymlink:
		found = "a symbolic link"
	case tar.TypeChar:
		found = "a character device"
	case tar.TypeBlock:
		found = "a block device"
	case tar.TypeFifo:
		found = "a FIFO"
	case tar.TypeGNUSparse:
		found = "a sparse file"
	default:
		found = "the type " + quote(string(header.Typeflag))
	}
	for key := range header.PAXRecords {
		// The type flag of a sparse file in the PAX format is that of a
		// regular file.
		if strings.HasPrefix(key, "GNU.sparse.") {
			found = "a sparse file"
		}
	}
	if found != "" {
		return invalid("layer %d: entry %s: expected a regular file or a folder, found %s", t.layers, quote(header.Name), found)
	}
	return nil
}

// checkGlobal ignores a PAX global header, such as git-archive's with the
// commit, unless it says what the entries after it are. POSIX.1-2017, pax, lets
// it, but archive/tar does not apply it, so that the module would not be what
// its author sees.
func (t *tree) checkGlobal(header *tar.Header) error {
	var keys []string
	for key := range header.PAXRecords {
		if key == "path" || key == "linkpath" || key == "size" || strings.HasPrefix(key, "GNU.sparse.") {
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		return invalid("layer %d: expected a PAX global header that names no entry, found one with %s", t.layers, quote(slices.Min(keys)))
	}
	return nil
}

// readPadding reads what follows the end of the tar stream up to the end of the
// gzip stream, whose checksum is verified thereby. archive/tar stops at two
// zero blocks; tar pads its last record with more of them.
func (t *tree) readPadding(stream io.Reader) error {
	for {
		n, err := stream.Read(t.buffer)
		for _, b := range t.buffer[:n] {
			if b != 0 {
				return invalid("layer %d: expected only zeros after the end of the tar stream, found other bytes", t.layers)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
