// Package chart renders the chart with Helm itself, under the value sets of testdata/values: what comes out is compared with golden files,
// tried at a real API server, and read by the processes it is for. TestGolden writes the golden files anew with -update.
package chart
