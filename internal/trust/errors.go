package trust

import (
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Cause is a short class of why there is no trusted root. The values complete
// a sentence about the mirror or the file.
type Cause string

// The causes of an UnavailableError.
const (
	// NotFetched: no attempt has ended yet.
	NotFetched Cause = "not fetched yet"
	// Unreachable: the mirror gives no answer, or not with the files of a TUF
	// repository.
	Unreachable Cause = "it cannot be reached"
	// Untrusted: signatures, versions, sizes or hashes are not what the
	// metadata verified so far asks for.
	Untrusted Cause = "its metadata cannot be trusted"
	// Expired: of the metadata in use, or of what the mirror answers.
	Expired Cause = "its metadata has expired"
	// Unreadable: the file is missing, or not readable, or no regular file.
	Unreadable Cause = "it cannot be read"
	// NoTrustedRoot: trusted_root.json is not one.
	NoTrustedRoot Cause = "it holds no trusted root"
	// Broken: a library panicked.
	Broken Cause = "it cannot be processed"
)

// UnavailableError says that there is no trusted root to use. Its text is the
// same for as long as the cause is.
type UnavailableError struct {
	// Origin is "the TUF mirror <host>" or "the file <path>".
	Origin string
	Cause  Cause
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("no trusted root: %s: %s", e.Origin, e.Cause)
}

// failure is why one refresh failed. The detail is for the log; it holds
// nothing that a server answered.
type failure struct {
	cause  Cause
	detail string
}

func (f *failure) Error() string { return f.detail }

func failed(c Cause, format string, args ...any) *failure {
	return &failure{c, fmt.Sprintf(format, args...)}
}

func causeOf(err error) Cause {
	var f *failure
	if errors.As(err, &f) {
		return f.cause
	}
	return Broken
}

// untrusted words go-tuf's verdict on a file. The texts of its errors quote the
// file, which may not have been verified, so only their kinds are used.
func untrusted(name string, err error) *failure {
	switch {
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return failed(Expired, "%s: it has expired", name)
	case errors.Is(err, &metadata.ErrUnsignedMetadata{}):
		return failed(Untrusted, "%s: not enough valid signatures by the keys that are trusted", name)
	case errors.Is(err, &metadata.ErrBadVersionNumber{}):
		return failed(Untrusted, "%s: not the expected version, or older than what was verified before", name)
	case errors.Is(err, &metadata.ErrLengthOrHashMismatch{}):
		return failed(Untrusted, "%s: length or hash differ from the signed ones", name)
	}
	return failed(Untrusted, "%s: malformed (%T)", name, err)
}
