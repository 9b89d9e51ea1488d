package artifact

import (
	"bufio"
	"io"
	"maps"
	"os"
	"slices"
)

// file is one regular file of an artifact; its contents are in the spool.
type file struct {
	name         string // as cleanName returns it
	offset, size int64  // of the contents in the spool
	executable   bool   // for anybody
}

// entry is what a layer last put at a path.
type entry struct {
	file
	layer    int // 1 is the first
	isFolder bool
}

// tree is what the layers read so far make together. Its memory is bounded by
// Limits.Files names; contents go to the spool.
type tree struct {
	limits  Limits
	spool   *spool
	buffer  []byte
	entries map[string]entry

	layers   int   // read so far
	read     int   // entries read so far, of any kind
	contents int64 // bytes of files read so far
	overhead int64 // bytes that tar streams may still hold besides contents
}

func newTree(limits Limits, contents io.Writer) *tree {
	return &tree{
		limits:   limits,
		spool:    &spool{w: bufio.NewWriterSize(contents, 64<<10)},
		buffer:   make([]byte, 64<<10),
		entries:  map[string]entry{},
		overhead: limits.overhead(),
	}
}

// merge reads the layers, in their order, and returns the files of the tree that
// they make together, sorted by the bytes of their paths. Their contents go to
// spool, at the offsets that the files say.
func merge(limits Limits, spool io.Writer, layers []Layer) ([]file, error) {
	t := newTree(limits, spool)
	for _, layer := range layers {
		if err := t.addLayerFile(layer.Path); err != nil {
			return nil, err
		}
	}
	return t.files()
}

// addLayerFile adds the layer in the file at path.
func (t *tree) addLayerFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return storageFailed("opening a layer", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return storageFailed("reading a layer", err)
	}
	return t.addLayer(f, info.Size())
}

// put records an entry. A later layer's file replaces an earlier one's; what
// would turn a file into a folder, or the reverse, is refused here or by files.
func (t *tree) put(e entry) error {
	if old, ok := t.entries[e.name]; ok {
		if old.layer == e.layer {
			return invalid("layer %d: entry %s: expected each path once in a layer, found it twice", e.layer, quote(e.name))
		}
		if old.isFolder != e.isFolder {
			return invalid("layer %d: entry %s: expected %s, as in layer %d, found %s",
				e.layer, quote(e.name), kindOf(old), old.layer, kindOf(e))
		}
	}
	t.entries[e.name] = e
	return nil
}

func kindOf(e entry) string {
	if e.isFolder {
		return "a folder"
	}
	return "a file"
}

// files returns the merged files, sorted by the bytes of their paths, once all
// layers are added.
func (t *tree) files() ([]file, error) {
	if err := t.spool.w.Flush(); err != nil {
		return nil, storageFailed("spooling the files of the layers", err)
	}
	var files []file
	for _, name := range slices.Sorted(maps.Keys(t.entries)) {
		if err := t.checkAbove(name); err != nil {
			return nil, err
		}
		if e := t.entries[name]; !e.isFolder {
			files = append(files, e.file)
		}
	}
	if len(files) == 0 {
		return nil, invalid("expected at least one file, found none in all layers (%d)", t.layers)
	}
	return files, nil
}

// checkAbove refuses a path below a file. Folders that no entry stands for are
// known only by the paths below them, and whichever of the two comes first, a
// file and a path below it exclude one another: looking once, when all entries
// are known, finds both orders.
func (t *tree) checkAbove(name string) error {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		if above, ok := t.entries[name[:i]]; ok && !above.isFolder {
			return invalid("layer %d: entry %s: expected a folder above it, found the file %s of layer %d",
				t.entries[name].layer, quote(name), quote(above.name), above.layer)
		}
	}
	return nil
}
