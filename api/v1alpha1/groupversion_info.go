// Package v1alpha1 is the API of Assay, group source.assay.dev, version
// v1alpha1: what people write, what the controller reports, and the conditions
// and reasons in between. It imports nothing of the controller.
//
// +kubebuilder:object:generate=true
// +groupName=source.assay.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the types of this package.
var GroupVersion = schema.GroupVersion{Group: "source.assay.dev", Version: "v1alpha1"}

// AddToScheme registers the types of this package.
var AddToScheme = schemeBuilder.AddToScheme

var schemeBuilder = runtime.NewSchemeBuilder(func(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &ModuleSource{}, &ModuleSourceList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
})
