package sigstored

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/assay-dev/assay/test/controlplane"
)

// UnavailableError says that the programs are not there and cannot be built, as
// on a machine that reaches no module proxy.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("no Sigstore to test against: %v", e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// MaySkip reports whether tests may be skipped because of an error of Start: where
// the programs cannot be built, unless ASSAY_INTEROP is "require".
func MaySkip(err error) bool {
	var missing *UnavailableError
	return errors.As(err, &missing) && os.Getenv("ASSAY_INTEROP") != "require"
}

// Assets returns the folder of the programs, which hack/sigstore/build.sh makes,
// once, in ten minutes, telling progress about it. The error is an
// *UnavailableError.
func Assets(progress io.Writer) (string, error) {
	folder, err := controlplane.Built("sigstore", progress)
	if err != nil {
		return "", &UnavailableError{Err: err}
	}
	return folder, nil
}
