// A device of type HPU for tests: registered with TensorFlow as a card's library does, with memory
// and kernels of the CPU. Load it with tf.load_library before devices are listed.
//
// SOFTWARE_HPUS: how many devices (default 1). SOFTWARE_HPU_LACKS: operation types, comma-separated,
// that get no kernel on it.

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tensorflow/core/common_runtime/device_factory.h"
#include "tensorflow/core/common_runtime/local_device.h"
#include "tensorflow/core/framework/allocator.h"
#include "tensorflow/core/framework/kernel_def.pb.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/public/session_options.h"

namespace tensorflow {
namespace {

std::string Setting(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value ? value : otherwise;
}

// Host to card and back are copies, so that nothing works by sharing memory that a card cannot share.
class CopyingContext : public DeviceContext {
 public:
  void CopyCPUTensorToDevice(const Tensor* from, Device*, Tensor* to, StatusCallback done,
                             bool) const override {
    Copy(*from, to, std::move(done));
  }
  void CopyDeviceTensorToCPU(const Tensor* from, absl::string_view, Device*, Tensor* to,
                             StatusCallback done) override {
    Copy(*from, to, std::move(done));
  }
  void CopyTensorInSameDevice(const Tensor* from, Device*, Tensor* to,
                              StatusCallback done) const override {
    Copy(*from, to, std::move(done));
  }

 private:
  static void Copy(const Tensor& from, Tensor* to, const StatusCallback& done) {
    if (!DataTypeCanUseMemcpy(from.dtype())) {
      done(absl::InternalError(absl::StrCat("a card holds no ", DataTypeString(from.dtype()))));
      return;
    }
    std::memcpy(const_cast<char*>(to->tensor_data().data()), from.tensor_data().data(),
                from.tensor_data().size());
    done(absl::OkStatus());
  }
};

class SoftwareHpu : public LocalDevice {
 public:
  SoftwareHpu(const SessionOptions& options, const std::string& name)
      : LocalDevice(options, Device::BuildDeviceAttributes(name, "HPU", Bytes(1 << 30), {}, name)),
        context_(new CopyingContext) {
    info_.default_context = context_;
    set_tensorflow_accelerator_device_info(&info_);
  }
  ~SoftwareHpu() override { context_->Unref(); }

  Allocator* GetAllocator(AllocatorAttributes) override { return cpu_allocator(); }
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status TryGetDeviceContext(DeviceContext** context) override {
    context_->Ref();
    *context = context_;
    return absl::OkStatus();
  }
  absl::Status MakeTensorFromProto(const TensorProto& proto, const AllocatorAttributes,
                                   Tensor* tensor) override {
    return tensor->FromProto(cpu_allocator(), proto)
               ? absl::OkStatus()
               : absl::InvalidArgumentError("a constant that cannot be read");
  }

 private:
  DeviceContext* const context_;
  DeviceBase::AcceleratorDeviceInfo info_;
};

class SoftwareHpuFactory : public DeviceFactory {
 public:
  absl::Status ListPhysicalDevices(std::vector<std::string>* devices) override {
    for (int i = 0; i < Count(); ++i) devices->push_back(absl::StrCat("/physical_device:HPU:", i));
    return absl::OkStatus();
  }
  absl::Status CreateDevices(const SessionOptions& options, const std::string& prefix,
                             std::vector<std::unique_ptr<Device>>* devices) override {
    for (int i = 0; i < Count(); ++i) {
      devices->push_back(
          std::make_unique<SoftwareHpu>(options, absl::StrCat(prefix, "/device:HPU:", i)));
    }
    return absl::OkStatus();
  }

 private:
  static int Count() { return std::atoi(Setting("SOFTWARE_HPUS", "1").c_str()); }
};

REGISTER_LOCAL_DEVICE_FACTORY("HPU", SoftwareHpuFactory, 220);

class CpuKernelFactory : public kernel_factory::OpKernelFactory {
 public:
  OpKernel* Create(OpKernelConstruction* construction) override {
    std::shared_ptr<const NodeProperties> properties;
    absl::Status status = NodeProperties::CreateFromNodeDef(
        construction->def(), OpRegistry::Global(), &properties);
    OpKernel* kernel = nullptr;
    if (status.ok()) {
      status = CreateOpKernel(DEVICE_CPU, construction->device(), cpu_allocator(),
                              construction->function_library(), construction->resource_manager(),
                              properties, construction->graph_def_version(), &kernel);
    }
    if (!status.ok()) construction->CtxFailure(status);
    return kernel;
  }
};

// What belongs to the host on a real card as well, or is a fusion that only the CPU knows.
bool StaysOnHost(const std::string& op) {
  for (const char* part : {"Dataset", "Iterator", "Queue", "Save", "Restore", "PyFunc", "Summary",
                           "String", "_Mkl", "_Fused", "Horovod"}) {
    if (absl::StrContains(op, part)) return true;
  }
  return false;
}

// Whether a kernel for every device, of the same operation, has the other one's types.
bool Covers(const KernelDef& general, const KernelDef& kernel) {
  if (general.constraint_size() == 0) return true;
  if (general.constraint_size() != kernel.constraint_size()) return false;
  for (int i = 0; i < kernel.constraint_size(); ++i) {
    if (general.constraint(i).SerializeAsString() != kernel.constraint(i).SerializeAsString()) {
      return false;
    }
  }
  return true;
}

bool RegisterKernels() {
  const std::string lacks = Setting("SOFTWARE_HPU_LACKS", "");
  const std::set<std::string> lacking = absl::StrSplit(lacks, ',');
  const KernelList all = GetAllRegisteredKernels();
  std::multimap<std::string, const KernelDef*> general;  // By operation: there are thousands.
  for (const KernelDef& kernel : all.kernel()) {
    if (kernel.device_type() == DEVICE_DEFAULT) general.emplace(kernel.op(), &kernel);
  }
  for (const KernelDef& kernel : all.kernel()) {
    if (kernel.device_type() != DEVICE_CPU || StaysOnHost(kernel.op()) || lacking.count(kernel.op())) {
      continue;
    }
    bool covered = false;
    const auto [first, last] = general.equal_range(kernel.op());
    for (auto it = first; it != last; ++it) covered |= Covers(*it->second, kernel);
    if (covered) continue;
    auto* copy = new KernelDef(kernel);
    copy->set_device_type("HPU");
    kernel_factory::OpKernelRegistrar(copy, "SoftwareHpuKernel",
                                      std::make_unique<CpuKernelFactory>());
  }
  return true;
}

const bool registered = RegisterKernels();

}  // namespace
}  // namespace tensorflow
