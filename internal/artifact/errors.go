package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Reason says in one word why an artifact was not published. The values are
// those of ModuleSource's conditions.
type Reason string

const (
	// ReasonArtifactInvalid is of layers that are not a module: not tar and
	// gzip, or with entries that are refused. The same layers fail again.
	ReasonArtifactInvalid Reason = "ArtifactInvalid"
	// ReasonArtifactTooLarge is of layers beyond one of [Limits]. The same
	// layers fail again under the same limits.
	ReasonArtifactTooLarge Reason = "ArtifactTooLarge"
	// ReasonStorageFailed is of the disk, not of the layers: trying again may
	// help.
	ReasonStorageFailed Reason = "StorageFailed"
)

// Error is the error of whatever reads layers or touches the disk. Its text says
// what was expected and what was found. It is bounded, quotes what comes from
// an artifact, holds neither a path on this disk nor a time, and is the same
// for the same cause, so that it can stand in a status.
type Error struct {
	// Reason is never empty.
	Reason Reason
	// Err is never nil.
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns e.Err, so that errors.Is finds fs.ErrNotExist and the
// operating system's errors.
func (e *Error) Unwrap() error { return e.Err }

func invalid(format string, args ...any) *Error {
	return &Error{ReasonArtifactInvalid, fmt.Errorf(format, args...)}
}

func tooLarge(format string, args ...any) *Error {
	return &Error{ReasonArtifactTooLarge, fmt.Errorf(format, args...)}
}

// storageFailed words a failure of the disk while doing what step says.
func storageFailed(step string, err error) *Error {
	return &Error{ReasonStorageFailed, fmt.Errorf("%s: %w", step, withoutPath(err))}
}

// withoutPath leaves the operating system's error only: the path of a temporary
// file differs at each try, and a message that changes is a write to the API
// server at each try.
func withoutPath(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	default:
		return err
	}
}

// quote quotes a text of an artifact's, and bounds it: names of entries may be
// a MiB long.
func quote(text string) string {
	const most = 128
	if len(text) > most {
		return fmt.Sprintf("%q… (%d bytes)", text[:most], len(text))
	}
	return fmt.Sprintf("%q", text)
}
