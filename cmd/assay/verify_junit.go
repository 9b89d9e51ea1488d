package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/assay-dev/assay/cmd/assay/manifests"
)

// The elements of JUnit's report, as far as CI systems read them.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string       `xml:"name,attr"`
		ClassName string       `xml:"classname,attr"`
		File      string       `xml:"file,attr,omitempty"`
		Line      int          `xml:"line,attr,omitempty"`
		Failure   *junitResult `xml:"failure"`
		Error     *junitResult `xml:"error"`
		Output    *junitText   `xml:"system-out"`
	}
	junitResult struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",cdata"`
	}
	junitText struct {
		Text string `xml:",cdata"`
	}
)

// writeJUnit writes a report in JUnit's format: a suite for each file, a case for
// each ModuleSource. What is refused is a failure, what could not be judged an
// error.
func writeJUnit(out io.Writer, r manifests.Report) error {
	all := junitSuites{Name: "assay verify"}
	suites := map[string]int{} // by file
	add := func(p manifests.Position, c junitCase) {
		i, ok := suites[p.File]
		if !ok {
			i = len(all.Suites)
			suites[p.File] = i
			all.Suites = append(all.Suites, junitSuite{Name: manifests.Position{File: p.File}.String()})
		}
		c.ClassName, c.Line = all.Suites[i].Name, p.Line
		if p.File != manifests.Stdin {
			c.File = p.File
		}
		s := &all.Suites[i]
		s.Cases = append(s.Cases, c)
		s.Tests, all.Tests = s.Tests+1, all.Tests+1
		if c.Failure != nil {
			s.Failures, all.Failures = s.Failures+1, all.Failures+1
		}
		if c.Error != nil {
			s.Errors, all.Errors = s.Errors+1, all.Errors+1
		}
	}
	for _, p := range r.Problems {
		add(p.Position, junitCase{Name: fmt.Sprintf("document in line %d", max(p.Line, 1)),
			Failure: &junitResult{Type: "Unreadable", Message: clean(p.Message), Text: clean(p.String()) + ": " + clean(p.Message)}})
	}
	for _, result := range r.Results {
		add(result.Position, caseOf(result))
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(out, "\n")
	return err
}

func caseOf(r manifests.Result) junitCase {
	c := junitCase{Name: clean(fullName(r))}
	var output []string
	if r.Verdict == manifests.Verified {
		output = append(output, fmt.Sprintf("%s %s", r.Verdict, clean(r.Revision)))
	}
	for _, s := range r.Signatures {
		output = append(output, "signed by "+clean(signer(s)))
	}
	for _, n := range r.Notes {
		output = append(output, fmt.Sprintf("%s: %s: %s: %s", clean(n.String()), n.Level, n.Field, clean(n.Message)))
	}
	if len(output) > 0 {
		c.Output = &junitText{strings.Join(output, "\n")}
	}
	if len(r.Problems) == 0 {
		return c
	}
	lines := make([]string, 0, len(r.Problems))
	for _, p := range r.Problems {
		lines = append(lines, clean(p.String())+": "+clean(fieldAndMessage(p)))
	}
	found := &junitResult{Type: r.Reason, Message: clean(fieldAndMessage(r.Problems[0])), Text: strings.Join(lines, "\n")}
	if r.Verdict.IsNo() {
		c.Failure = found
	} else {
		c.Error = found
	}
	return c
}

func fieldAndMessage(p manifests.Problem) string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}
