package artifact

import (
	"fmt"
	"math"
)

// Limits bound what the layers of one artifact may hold. A field of zero stands
// for its default. Beyond a limit an artifact is refused with
// [ReasonArtifactTooLarge]; it is never cut.
type Limits struct {
	// ArchiveBytes bounds the uncompressed bytes of all files of all layers
	// together, those that a later layer replaces included, since they are
	// written to disk as well. Default 64 MiB, at most 8 GiB - 1, which is what
	// the size field of a ustar header holds.
	ArchiveBytes int64
	// Files bounds the entries of all layers together, of whatever kind.
	// Default 10,000. What an entry takes beside its contents, in headers and
	// padding, is bounded in proportion.
	Files int
	// Ratio bounds the uncompressed bytes of a layer for each of its
	// compressed ones. Default 200; DEFLATE reaches 1032. The first MiB of a
	// layer is free, or a handful of small files, mostly padding, would trip
	// it.
	Ratio int64
}

const (
	defaultArchiveBytes = 64 << 20
	defaultFiles        = 10_000
	defaultRatio        = 200

	// maxArchiveBytes is 11 octal digits: POSIX.1-2017, pax, "ustar
	// Interchange Format".
	maxArchiveBytes = 1<<33 - 1

	// freeRatioBytes of a layer are not held to Limits.Ratio.
	freeRatioBytes = 1 << 20

	// What a tar stream may hold besides the contents of files: a header, its
	// padding and an extended header with a name of maxNameBytes for each
	// entry; and, once, the padding at the ends of layers.
	overheadBytesEach = 4 << 10
	overheadBytesOnce = 1 << 20
)

// WithDefaults returns l with its zero fields filled in, or an error that names
// the field that is out of bounds.
func (l Limits) WithDefaults() (Limits, error) {
	if l.ArchiveBytes < 0 || l.ArchiveBytes > maxArchiveBytes {
		return l, fmt.Errorf("Limits.ArchiveBytes: expected 0 to %d, found %d", int64(maxArchiveBytes), l.ArchiveBytes)
	}
	if l.Files < 0 || l.Files > math.MaxInt32 {
		return l, fmt.Errorf("Limits.Files: expected 0 to %d, found %d", math.MaxInt32, l.Files)
	}
	if l.Ratio < 0 {
		return l, fmt.Errorf("Limits.Ratio: expected 0 or more, found %d", l.Ratio)
	}
	if l.ArchiveBytes == 0 {
		l.ArchiveBytes = defaultArchiveBytes
	}
	if l.Files == 0 {
		l.Files = defaultFiles
	}
	if l.Ratio == 0 {
		l.Ratio = defaultRatio
	}
	return l, nil
}

// overhead is the bytes of tar streams that may be other than file contents.
func (l Limits) overhead() int64 {
	return overheadBytesOnce + int64(l.Files)*overheadBytesEach
}

// streamBytes is the largest uncompressed stream of a layer of that many
// compressed bytes.
func (l Limits) streamBytes(compressed int64) int64 {
	if compressed > math.MaxInt64/l.Ratio-1 {
		return math.MaxInt64 - 1
	}
	return max(freeRatioBytes, compressed*l.Ratio)
}
