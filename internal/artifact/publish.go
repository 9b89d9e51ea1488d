package artifact

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/assay-dev/assay/internal/verify"
)

// Layer is one layer of a verified manifest.
type Layer struct {
	// Path is a file with the layer's bytes as the registry gave them, whose
	// digest was checked to the end of the file.
	Path string
}

// Published is an archive that is in place.
type Published struct {
	// Path is relative to the root, with slashes, and behind the server's
	// address: "modulesource/<namespace>/<name>/<hex>.tar.gz".
	Path string
	// Digest is "sha256:<hex>" of the archive file, and not of the manifest
	// that its layers are of.
	Digest string
	// Size is of the archive file, in bytes.
	Size int64
	// Files is how many files the archive holds; at least one.
	Files int
}

// Publish merges the layers, in their order, into one tree and puts its archive
// in place, with the signatures beside it, from which moment on it is served
// and the owner's other archives are superseded. Publishing again what is in
// place changes nothing but the kept signatures.
//
// The zero [verify.Verified] is refused before anything else. Without a
// signature to keep, the archive could not be judged under other trust, and is
// refused too. The error is an *Error of any [Reason]; the archives before are
// then as they were.
func (s *Store) Publish(v verify.Verified, owner Owner, layers []Layer, signatures []verify.Signature) (Published, error) {
	if v.IsZero() {
		return Published{}, invalid("expected a verified digest, found none")
	}
	if err := owner.validate(); err != nil {
		return Published{}, err
	}
	kept, err := encodeSignatures(signatures)
	if err != nil {
		return Published{}, err
	}
	// For the whole time: a Withdraw that comes later has the last word.
	own, unlock := s.lock(owner)
	defer unlock()
	if s.isDenied(owner) {
		// Or what could not be removed would be served again.
		if err := s.withdraw(own, owner); err != nil {
			return Published{}, storageFailed("withdrawing the archives", err)
		}
	}

	temp, cleanup, err := s.TempDir()
	if err != nil {
		return Published{}, err
	}
	defer cleanup()
	built, err := s.build(temp, layers)
	if err != nil {
		return Published{}, err
	}
	if err := writeFile(filepath.Join(temp, signaturesFile), kept); err != nil {
		return Published{}, storageFailed("writing the signatures", err)
	}
	if err := s.place(temp, owner, built.hex); err != nil {
		return Published{}, err
	}
	// Before the new archive counts as current: if this fails, the old one,
	// which status still names, stays.
	if err := s.supersede(owner, built.hex); err != nil {
		return Published{}, err
	}
	own.current = built.hex
	return Published{
		Path:   owner.archive(built.hex),
		Digest: digestOf(built.hex),
		Size:   built.size,
		Files:  built.files,
	}, nil
}

// The names of the files of a publication in its temporary folder.
const (
	spoolFile      = "spool"
	archiveFile    = "archive"
	signaturesFile = "signatures"
)

type built struct {
	hex   string
	size  int64
	files int
}

// build writes the archive of the layers into the folder temp.
func (s *Store) build(temp string, layers []Layer) (built, error) {
	spool, err := os.OpenFile(filepath.Join(temp, spoolFile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return built{}, storageFailed("making the spool", err)
	}
	defer spool.Close()

	files, err := merge(s.limits, spool, layers)
	if err != nil {
		return built{}, err
	}
	b, err := writeArchiveFile(filepath.Join(temp, archiveFile), files, spool)
	if err != nil {
		return built{}, storageFailed("writing the archive", err)
	}
	return b, nil
}

// writeArchiveFile writes the archive of files and waits for the disk to have
// it.
func writeArchiveFile(name string, files []file, contents io.ReaderAt) (built, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return built{}, err
	}
	b, err := writeZippedArchive(f, files, contents)
	return b, errors.Join(err, f.Sync(), f.Close())
}

// writeZippedArchive writes the archive of files: storedGzip over writeArchive.
func writeZippedArchive(w io.Writer, files []file, contents io.ReaderAt) (built, error) {
	hash := sha256.New()
	counted := &counter{w: io.MultiWriter(w, hash)}
	buffered := bufio.NewWriterSize(counted, 128<<10)
	zipped := newStoredGzip(buffered)
	if err := writeArchive(zipped, files, contents); err != nil {
		return built{}, err
	}
	if err := errors.Join(zipped.Close(), buffered.Flush()); err != nil {
		return built{}, err
	}
	return built{hex: hex.EncodeToString(hash.Sum(nil)), size: counted.n, files: len(files)}, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// place moves the signatures and then the archive from temp to where they
// belong. Each rename is atomic, and the first is on the disk before the second
// is made, so that no crash leaves an archive without its signatures. The
// folders above need no sync: with them goes all that is in them.
func (s *Store) place(temp string, owner Owner, hex string) error {
	if err := s.makeFolder(owner); err != nil {
		return storageFailed("making the owner's folder", err)
	}
	for _, move := range []struct{ from, to string }{
		{s.relative(temp, signaturesFile), owner.signatures(hex)},
		{s.relative(temp, archiveFile), owner.archive(hex)},
	} {
		if err := s.root.Rename(move.from, move.to); err != nil {
			return storageFailed("publishing the archive", err)
		}
		if err := s.syncFolder(owner.folder()); err != nil {
			return storageFailed("publishing the archive", err)
		}
	}
	return nil
}
