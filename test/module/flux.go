package module

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The media types of a Flux artifact.
// https://github.com/fluxcd/pkg/blob/oci/v0.70.0/oci/globals.go
const (
	FluxConfigMediaType  types.MediaType = "application/vnd.cncf.flux.config.v1+json"
	FluxContentMediaType types.MediaType = "application/vnd.cncf.flux.content.v1.tar+gzip"
)

// fluxCreated is when an artifact was made that does not say: a fixed time, so
// that the digest stays the same.
var fluxCreated = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// FluxOptions describe a Flux artifact: plain files in one archive. The zero
// value is an artifact with one ConfigMap.
type FluxOptions struct {
	// Files is the content by path. Nil stands for one ConfigMap.
	Files map[string]string

	// Source and Revision are the URL and the revision of the source code.
	// Flux writes these annotations even when they are empty.
	Source   string
	Revision string

	// Created is when the artifact was made; a fixed time if it is zero.
	Created time.Time

	// Annotations are further ones of the manifest. They win over the above.
	Annotations map[string]string
}

// Flux makes an artifact as `flux push artifact` does: one layer.
func Flux(o FluxOptions) (v1.Image, error) {
	files := o.Files
	if files == nil {
		files = map[string]string{"configmap.yaml": configMap}
	}
	created := o.Created
	if created.IsZero() {
		created = fluxCreated
	}
	content, err := Archive(files)
	if err != nil {
		return nil, err
	}
	config, err := fluxConfig(created)
	if err != nil {
		return nil, err
	}
	annotations := map[string]string{
		CreatedAnnotation:  formatTime(created),
		SourceAnnotation:   o.Source,
		RevisionAnnotation: o.Revision,
	}
	maps.Copy(annotations, o.Annotations)
	return Raw(RawOptions{
		ConfigMediaType: FluxConfigMediaType,
		Config:          config,
		Layers:          []Layer{{MediaType: FluxContentMediaType, Content: content}},
		Annotations:     annotations,
	})
}

const configMap = `apiVersion: v1
kind: ConfigMap
metadata:
  name: greeting
data:
  message: good day
`

// fluxConfig is an empty image config with the time of creation.
func fluxConfig(created time.Time) ([]byte, error) {
	config := v1.ConfigFile{
		Created: v1.Time{Time: created.UTC()},
		RootFS:  v1.RootFS{Type: "layers"},
	}
	content, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encoding the config: %w", err)
	}
	return content, nil
}
