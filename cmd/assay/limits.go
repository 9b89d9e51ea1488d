package main

import (
	"github.com/spf13/pflag"

	"github.com/assay-dev/assay/internal/artifact"
)

// limitFlags are the limits of an artifact, by the names that the controller has
// for the same.
type limitFlags struct{ artifact.Limits }

func addLimitFlags(s *pflag.FlagSet) *limitFlags {
	// Of the zero value there are always defaults.
	defaults, _ := artifact.Limits{}.WithDefaults()
	f := &limitFlags{}
	s.Int64Var(&f.ArchiveBytes, "artifact-max-bytes", defaults.ArchiveBytes, "most bytes of an artifact's files together, and of its compressed layers together, as the controller has it")
	s.IntVar(&f.Files, "artifact-max-files", defaults.Files, "most entries in an artifact's layers, as the controller has it")
	s.Int64Var(&f.Ratio, "artifact-max-ratio", defaults.Ratio, "most uncompressed bytes for each compressed byte of a layer, as the controller has it")
	return f
}

func (f *limitFlags) check() error {
	for name, value := range map[string]int64{
		"artifact-max-bytes": f.ArchiveBytes, "artifact-max-files": int64(f.Files), "artifact-max-ratio": f.Ratio,
	} {
		if value <= 0 {
			return usageError("", "--%s: expected more than 0, found %d", name, value)
		}
	}
	if _, err := f.WithDefaults(); err != nil {
		return usageError("", "--artifact-max-…: %v", err)
	}
	return nil
}
