// TfSlimBilinearView: from the decoded pixels of a crop to the floats of a network's input, in one
// pass: bilinear resize, flip, brightness and saturation, scale and offset.
//
// The same numbers as TensorFlow's operations, which take four passes over arrays of a megabyte.
// TensorFlow's C interface is used, which is the same in every version. image_op.py builds and loads
// this file and says what the operation computes.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"

// The widest vectors that the processor has are chosen when the library is loaded, so that it serves
// every processor of its architecture.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EVERY_PROCESSOR
#endif

namespace {

constexpr int kChannels = 3;

// Where the samples of one axis lie: between `before` and the pixel after it, `share` of the way.
struct Samples {
  std::vector<int> before;
  std::vector<float> share;
};

// Sample i lies at first + i * step, in pixels; samples outside of the axis lie on its ends.
Samples Place(float first, float step, int count, int length, bool mirrored) {
  Samples samples{std::vector<int>(count), std::vector<float>(count)};
  for (int i = 0; i < count; ++i) {
    const float place = std::min(std::max(first + i * step, 0.0f), length - 1.0f);
    const int to = mirrored ? count - 1 - i : i;
    samples.before[to] = static_cast<int>(place);
    samples.share[to] = place - static_cast<int>(place);
  }
  return samples;
}

FOR_EVERY_PROCESSOR
void BlendRows(const uint8_t* __restrict upper, const uint8_t* __restrict lower, float share,
               int count, float* __restrict out) {
  for (int i = 0; i < count; ++i) {
    const float from = upper[i];
    out[i] = from + (lower[i] - from) * share;
  }
}

// Four floats from any address: the three channels of a pixel and one that the next pixel overwrites.
typedef float Pixel __attribute__((vector_size(16), aligned(4), may_alias));

// `before` counts floats. Writes a float behind the last pixel.
FOR_EVERY_PROCESSOR
void SampleRow(const float* row, const int* before, const float* share, float scale, Pixel offset,
               int count, float* out) {
  for (int x = 0; x < count; ++x) {
    const float* from = row + before[x];
    const Pixel left = *reinterpret_cast<const Pixel*>(from);
    const Pixel right = *reinterpret_cast<const Pixel*>(from + kChannels);
    const Pixel sample = left + (right - left) * share[x];
    *reinterpret_cast<Pixel*>(out + kChannels * x) = sample * scale + offset;
  }
}

float Clip(float value, float low, float high) { return std::min(std::max(value, low), high); }

// 0..255 as 0..1: adds to the brightness, then moves every channel along its line to the largest
// one, at most until the smallest is zero, as a change of saturation by way of HSV does.
FOR_EVERY_PROCESSOR
void ChangeColours(const float* __restrict row, float brightness, float saturation, float scale,
                   Pixel offset, int count, float* __restrict out) {
  for (int x = 0; x < count; ++x) {
    const float* from = row + kChannels * x;
    const float red = from[0] * (1.0f / 255.0f) + brightness;
    const float green = from[1] * (1.0f / 255.0f) + brightness;
    const float blue = from[2] * (1.0f / 255.0f) + brightness;
    const float largest = std::max(std::max(red, green), blue);
    const float chroma = largest - std::min(std::min(red, green), blue);
    const float most = largest / std::max(chroma, 1e-12f);
    const float factor = std::max(std::min(saturation, most), 0.0f);
    const float added = largest * (1.0f - factor);
    float* to = out + kChannels * x;
    to[0] = Clip(red * factor + added, 0.0f, 1.0f) * scale + offset[0];
    to[1] = Clip(green * factor + added, 0.0f, 1.0f) * scale + offset[1];
    to[2] = Clip(blue * factor + added, 0.0f, 1.0f) * scale + offset[2];
  }
}

struct View {
  float top, left;            // of the first sample, in pixels
  float row_step, column_step;
  bool mirrored;
  bool changes_colours;
  float brightness, saturation;
};

// `pixels` is [rows, columns, 3], `out` [height, width, 3].
void Compute(const uint8_t* pixels, int rows, int columns, const View& view, int height, int width,
             float scale, const float* offset, float* out) {
  const Samples down = Place(view.top, view.row_step, height, rows, false);
  Samples across = Place(view.left, view.column_step, width, columns, view.mirrored);
  for (int& before : across.before) before *= kChannels;
  const int in_row = kChannels * columns, out_row = kChannels * width;
  // A pixel more than there is: SampleRow reads the one behind the last and writes a float too many.
  std::vector<float> blended(in_row + kChannels + 1), sampled(out_row + 1);
  const Pixel offsets = {offset[0], offset[1], offset[2], 0.0f};
  for (int y = 0; y < height; ++y) {
    const int upper = down.before[y], lower = std::min(upper + 1, rows - 1);
    BlendRows(pixels + static_cast<int64_t>(upper) * in_row,
              pixels + static_cast<int64_t>(lower) * in_row, down.share[y], in_row,
              blended.data());
    const auto sample = [&](float factor, Pixel added, float* to) {
      SampleRow(blended.data(), across.before.data(), across.share.data(), factor, added, width, to);
    };
    float* row = out + static_cast<int64_t>(y) * out_row;
    if (view.changes_colours) {
      sample(1.0f, Pixel{}, sampled.data());
      ChangeColours(sampled.data(), view.brightness, view.saturation, 255.0f * scale, offsets,
                    width, row);
    } else if (y + 1 < height) {
      sample(scale, offsets, row);
    } else {  // Nothing follows that may be written to.
      sample(scale, offsets, sampled.data());
      std::copy_n(sampled.data(), out_row, row);
    }
  }
}

// What follows makes an operation of it.

struct Deleter {
  void operator()(TF_Status* status) const { TF_DeleteStatus(status); }
  void operator()(TF_Tensor* tensor) const { TF_DeleteTensor(tensor); }
};
using Status = std::unique_ptr<TF_Status, Deleter>;
using Tensor = std::unique_ptr<TF_Tensor, Deleter>;

struct Attributes {
  int32_t height, width;
  float scale, offset[kChannels];
};

bool Ok(const Status& status) { return TF_GetCode(status.get()) == TF_OK; }

void* Create(TF_OpKernelConstruction* construction) {
  Status status(TF_NewStatus());
  auto attributes = std::make_unique<Attributes>();
  int32_t size = 0, unused = 0;
  // Each call overwrites the status, so the first one that fails has to be the last.
  TF_OpKernelConstruction_GetAttrInt32(construction, "height", &attributes->height, status.get());
  if (Ok(status)) {
    TF_OpKernelConstruction_GetAttrInt32(construction, "width", &attributes->width, status.get());
  }
  if (Ok(status)) {
    TF_OpKernelConstruction_GetAttrFloat(construction, "scale", &attributes->scale, status.get());
  }
  if (Ok(status)) {
    TF_OpKernelConstruction_GetAttrSize(construction, "offset", &size, &unused, status.get());
  }
  if (Ok(status) && size != kChannels) {
    TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, "offset has one number per channel, so three");
  }
  if (Ok(status)) {
    TF_OpKernelConstruction_GetAttrFloatList(construction, "offset", attributes->offset, kChannels,
                                             status.get());
  }
  if (!Ok(status)) {
    TF_OpKernelConstruction_Failure(construction, status.get());
    return nullptr;
  }
  return attributes.release();
}

void Delete(void* attributes) { delete static_cast<Attributes*>(attributes); }

// The inputs of one call.
struct Inputs {
  Tensor image, grid, colours, mirrored;
};

// nullptr, or what is wrong.
const char* Read(const Inputs& inputs, const Attributes& attributes, View* view) {
  const TF_Tensor* image = inputs.image.get();
  if (TF_NumDims(image) != 3 || TF_Dim(image, 2) != kChannels || TF_TensorElementCount(image) == 0) {
    return "image must have the shape [h, w, 3] and a pixel at least";
  }
  const int64_t most = 1 << 28;  // so that three times that is an int
  if (TF_Dim(image, 0) > most || TF_Dim(image, 1) > most) return "image is too large";
  const float* grid = static_cast<const float*>(TF_TensorData(inputs.grid.get()));
  const float* colours = static_cast<const float*>(TF_TensorData(inputs.colours.get()));
  const int64_t grid_size = TF_TensorElementCount(inputs.grid.get());
  const int64_t colours_size = TF_TensorElementCount(inputs.colours.get());
  if (grid_size != 0 && grid_size != 4) return "grid must have four numbers or none";
  if (colours_size != 0 && colours_size != 2) return "colours must have two numbers or none";
  if (TF_TensorElementCount(inputs.mirrored.get()) != 1) return "mirrored must be a scalar";
  const auto finite = [](float number) { return std::isfinite(number); };
  if (!std::all_of(grid, grid + grid_size, finite)) return "grid has numbers that are not finite";
  if (!std::all_of(colours, colours + colours_size, finite)) {
    return "colours has numbers that are not finite";
  }
  view->top = grid_size ? grid[0] : 0;
  view->left = grid_size ? grid[1] : 0;
  view->row_step = grid_size ? grid[2] : TF_Dim(image, 0) / static_cast<float>(attributes.height);
  view->column_step = grid_size ? grid[3] : TF_Dim(image, 1) / static_cast<float>(attributes.width);
  view->mirrored = *static_cast<const bool*>(TF_TensorData(inputs.mirrored.get()));
  view->changes_colours = colours_size != 0;
  view->brightness = colours_size ? colours[0] : 0;
  view->saturation = colours_size ? colours[1] : 1;
  return nullptr;
}

void Run(void* kernel, TF_OpKernelContext* context) {
  const Attributes& attributes = *static_cast<Attributes*>(kernel);
  Status status(TF_NewStatus());
  Inputs inputs;
  int number = 0;
  for (Tensor* input : {&inputs.image, &inputs.grid, &inputs.colours, &inputs.mirrored}) {
    TF_Tensor* tensor = nullptr;
    TF_GetInput(context, number++, &tensor, status.get());
    input->reset(tensor);
    if (!Ok(status)) {
      TF_OpKernelContext_Failure(context, status.get());
      return;
    }
  }
  View view;
  if (const char* problem = Read(inputs, attributes, &view)) {
    TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, problem);
    TF_OpKernelContext_Failure(context, status.get());
    return;
  }
  const int64_t shape[] = {attributes.height, attributes.width, kChannels};
  Tensor out(TF_AllocateOutput(context, 0, TF_FLOAT, shape, 3,
                               shape[0] * shape[1] * shape[2] * sizeof(float), status.get()));
  if (!Ok(status)) {
    TF_OpKernelContext_Failure(context, status.get());
    return;
  }
  Compute(static_cast<const uint8_t*>(TF_TensorData(inputs.image.get())),
          static_cast<int>(TF_Dim(inputs.image.get(), 0)),
          static_cast<int>(TF_Dim(inputs.image.get(), 1)), view, attributes.height,
          attributes.width, attributes.scale, attributes.offset,
          static_cast<float*>(TF_TensorData(out.get())));
}

// When the library is loaded. image_op.py knows the shape of the result.
const bool registered = [] {
  Status status(TF_NewStatus());
  TF_OpDefinitionBuilder* operation = TF_NewOpDefinitionBuilder("TfSlimBilinearView");
  for (const char* input : {"image: uint8", "grid: float", "colours: float", "mirrored: bool"}) {
    TF_OpDefinitionBuilderAddInput(operation, input);
  }
  TF_OpDefinitionBuilderAddOutput(operation, "view: float");
  for (const char* attribute :
       {"height: int >= 1", "width: int >= 1", "scale: float", "offset: list(float)"}) {
    TF_OpDefinitionBuilderAddAttr(operation, attribute);
  }
  TF_OpDefinitionBuilderSetShapeInferenceFunction(operation, TF_ShapeInferenceContextSetUnknownShape);
  TF_RegisterOpDefinition(operation, status.get());
  if (!Ok(status)) return false;
  TF_KernelBuilder* kernel =
      TF_NewKernelBuilder("TfSlimBilinearView", "CPU", Create, Run, Delete);
  TF_RegisterKernelBuilder("TfSlimBilinearView", kernel, status.get());
  return Ok(status);
}();

}  // namespace
