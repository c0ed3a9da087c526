package flow_test

// hasFiles tells whether the kernels of this system are kernel.Files.
const hasFiles = true
