package pack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Media types and annotations of a Timoni module.
// https://github.com/stefanprodan/timoni/blob/main/api/v1alpha1/artifact.go
const (
	timoniConfig  types.MediaType = "application/vnd.timoni.config.v1+json"
	timoniContent types.MediaType = "application/vnd.timoni.content.v1.tar+gzip"

	contentType      = "sh.timoni.content.type"
	imagesAnnotation = "sh.timoni.images"
	moduleFile       = "timoni.cue"
	vendorFolder     = "cue.mod"
)

// Media types of a Flux artifact.
// https://github.com/fluxcd/pkg/blob/oci/v0.70.0/oci/globals.go
const (
	fluxConfig  types.MediaType = "application/vnd.cncf.flux.config.v1+json"
	fluxContent types.MediaType = "application/vnd.cncf.flux.content.v1.tar+gzip"
)

// Media types of any other. The image specification wants an artifact type
// where the config is empty; this is what others write who know none.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidelines-for-artifact-usage
const (
	emptyConfig  types.MediaType = "application/vnd.oci.empty.v1+json"
	genericType                  = "application/vnd.unknown.artifact.v1"
	genericLayer types.MediaType = types.OCILayer
)

// kind is how a type of artifact is packed.
type kind struct {
	artifactType string
	config       types.MediaType
	// rawConfig makes the config of the time of creation.
	rawConfig func(created string) ([]byte, error)
	layers    []layerSpec
}

// layerSpec is how a layer is packed.
type layerSpec struct {
	mediaType   types.MediaType
	annotations map[string]string
	// ignore are patterns of what is left out, as in .gitignore.
	ignore []string
}

// folder is the absolute path of what is packed, behind all symbolic links: a
// walk would take one for a thing to skip.
func folder(o Options) (string, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", because(ErrFolder, "expected a folder, found nothing at %q", o.Dir)
	}
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", because(ErrFolder, "expected a folder, found the file %q", o.Dir)
	}
	return filepath.EvalSymlinks(dir)
}

func (o Options) kind(dir string) (kind, error) {
	switch o.Type {
	case Timoni:
		return moduleKind(dir)
	case Flux:
		// Flux's own command leaves out what it names by default, and no more:
		// https://github.com/fluxcd/flux2/blob/main/cmd/flux/build_artifact.go
		ignore, err := readIgnore(dir, sourceIgnore)
		return kind{
			config:    fluxConfig,
			rawConfig: imageConfig,
			layers:    []layerSpec{{mediaType: fluxContent, ignore: slices.Concat(ignoreVersionControl(), ignoreImages(), ignore)}},
		}, err
	case Generic:
		ignore, err := readIgnore(dir, sourceIgnore)
		return kind{
			artifactType: genericType,
			config:       emptyConfig,
			rawConfig:    func(string) ([]byte, error) { return []byte("{}"), nil },
			layers:       []layerSpec{{mediaType: genericLayer, ignore: append(ignoreVersionControl(), ignore...)}},
		}, err
	default:
		return kind{}, fmt.Errorf("expected one of the types %q, found %.100q", Types(), o.Type)
	}
}

// moduleKind is a Timoni module: its timoni.ignore is not applied to what it
// vendors.
func moduleKind(dir string) (kind, error) {
	for _, name := range []string{moduleFile, vendorFolder} {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			return kind{}, because(ErrNotAModule, "expected a Timoni module, with %s and %s, found no %s", moduleFile, vendorFolder, name)
		} else if err != nil {
			return kind{}, err
		}
	}
	ignore, err := readIgnore(dir, timoniIgnore)
	layer := func(value string, ignore ...string) layerSpec {
		return layerSpec{timoniContent, map[string]string{contentType: value}, ignore}
	}
	return kind{
		config:    timoniConfig,
		rawConfig: func(string) ([]byte, error) { return imageConfig("") },
		layers: []layerSpec{
			layer("module/vendor", "/*", "!/"+vendorFolder),
			layer("module", append(ignore, vendorFolder+"/")...),
		},
	}, err
}

// imageConfig is the config of an image of nothing.
func imageConfig(created string) ([]byte, error) {
	config := v1.ConfigFile{RootFS: v1.RootFS{Type: "layers"}}
	if created != "" {
		at, err := time.Parse(time.RFC3339, created)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: expected a time such as 2026-01-31T12:00:00Z, found %.100q", createdAnnotation, created)
		}
		config.Created = v1.Time{Time: at}
	}
	return json.Marshal(config)
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
