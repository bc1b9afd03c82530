// SPDX-License-Identifier: MIT
#include "thumbnail.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "part_file.h"

namespace {

using workpool::Failure;

constexpr int kPixelsMost = 65'500;  // of a side: what JPEG can hold

struct Unref {
  void operator()(void* object) const { g_object_unref(object); }
};
using Image = std::unique_ptr<VipsImage, Unref>;
using Target = std::unique_ptr<VipsTarget, Unref>;

// libvips has failed; what it says is in one text for the whole process.
struct VipsFault {};

Image checked(int status, VipsImage* image) {
  if (status != 0) throw VipsFault();
  return Image(image);
}

// How a picture is stored, by the ending of its name.
struct Format {
  std::string_view ending;
  bool has_alpha;
  bool has_quality;
  bool has_frames;
};
constexpr std::array<Format, 5> kFormats = {{{".jpg", false, true, false},
                                             {".jpeg", false, true, false},
                                             {".png", true, false, false},
                                             {".webp", true, true, true},
                                             {".gif", true, false, true}}};

struct Order {
  std::string source;
  std::string target;
  int width;
  int height;
  VipsInteresting crop = VIPS_INTERESTING_NONE;
  VipsSize size = VIPS_SIZE_DOWN;
  int quality;
  const Format* format = nullptr;
};

int between(const char* name, int value, int low, int high) {
  if (value >= low && value <= high) return value;
  throw Failure("args: \"" + std::string(name) + "\" must be from " + std::to_string(low) + " to " +
                std::to_string(high));
}

const Format& format_of(const std::string& target) {
  std::string ending = target.substr(std::min(target.rfind('.'), target.size()));
  for (char& letter : ending) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  for (const Format& format : kFormats) {
    if (format.ending == ending) return format;
  }
  throw Failure("args: \"target\" must end in .jpg, .jpeg, .png, .webp or .gif: " + target);
}

Order order_of(const workpool::Job& job) {
  job.expect_args({"source", "target", "width", "height", "fit", "quality"});
  Order order;
  order.source = job.arg<std::string>("source");
  order.target = job.arg<std::string>("target");
  order.width = between("width", job.arg<int>("width"), 1, kPixelsMost);
  order.height = between("height", job.arg("height", order.width), 1, kPixelsMost);
  order.quality = between("quality", job.arg("quality", 80), 1, 100);
  order.format = &format_of(order.target);
  const auto fit = job.arg<std::string>("fit", "contain");
  if (fit == "cover") {
    order.crop = VIPS_INTERESTING_CENTRE;
  } else if (fit == "fill") {
    order.size = VIPS_SIZE_FORCE;
  } else if (fit != "contain") {
    throw Failure(R"(args: "fit" must be "contain", "cover" or "fill")");
  }
  return order;
}

// The picture as libvips is to open it. It takes what stands in brackets at the end of a name for options, so
// it gets the name of an open descriptor instead.
class OpenPicture {
 public:
  explicit OpenPicture(const std::string& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
    struct stat facts {};
    if (descriptor_ < 0 || ::fstat(descriptor_, &facts) != 0)
      throw Failure(path + ": " + std::strerror(errno));
    if (S_ISREG(facts.st_mode)) return;
    ::close(descriptor_);
    throw Failure(path + ": not a regular file");
  }
  ~OpenPicture() { ::close(descriptor_); }
  OpenPicture(const OpenPicture&) = delete;
  OpenPicture& operator=(const OpenPicture&) = delete;

  std::string name() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

// Whether all frames are wanted: of a moving picture, if the target can move as well. libvips cuts out of the
// first frame only.
bool is_moving(const Order& order, const std::string& name) {
  if (!order.format->has_frames || order.crop != VIPS_INTERESTING_NONE) return false;
  const Image image(vips_image_new_from_file(name.c_str(), nullptr));
  if (!image) throw VipsFault();
  return vips_image_get_n_pages(image.get()) > 1;
}

// In 8 bits of sRGB, turned as its EXIF data says, without alpha if the target has none. Whatever the pixels
// are read from must be whole.
Image small_image(const Order& order, std::string name) {
  if (is_moving(order, name)) name += "[n=-1]";
  VipsImage* out = nullptr;
  // Not vips_thumbnail_source(): that of libvips 8.14 does not look at fail_on.
  int status =
      vips_thumbnail(name.c_str(), &out, order.width, "height", order.height, "size", order.size, "crop",
                     order.crop, "fail_on", VIPS_FAIL_ON_ERROR, "export_profile", "srgb", nullptr);
  Image image = checked(status, out);
  status = vips_colourspace(image.get(), &out, VIPS_INTERPRETATION_sRGB, nullptr);
  image = checked(status, out);
  if (order.format->has_alpha || !vips_image_hasalpha(image.get())) return image;
  const std::unique_ptr<VipsArrayDouble, void (*)(VipsArrayDouble*)> white(
      vips_array_double_newv(1, 255.0), [](VipsArrayDouble* array) { vips_area_unref(VIPS_AREA(array)); });
  status = vips_flatten(image.get(), &out, "background", white.get(), nullptr);
  return checked(status, out);
}

void save(const Order& order, VipsImage* image, int descriptor) {
  const Target target(vips_target_new_to_descriptor(descriptor));
  if (!target) throw VipsFault();
  const std::string ending(order.format->ending);
  const int status =
      order.format->has_quality
          ? vips_image_write_to_target(image, ending.c_str(), target.get(), "Q", order.quality, "strip", TRUE,
                                       nullptr)
          : vips_image_write_to_target(image, ending.c_str(), target.get(), "strip", TRUE, nullptr);
  if (status != 0) throw VipsFault();
}

workpool::json make_thumbnail(const Order& order, const OpenPicture& picture, const std::stop_token& stop) {
  PartFile file(order.target);
  const Image image = small_image(order, picture.name());
  {
    const std::stop_callback kill(stop, [&] { vips_image_set_kill(image.get(), TRUE); });
    save(order, image.get(), file.descriptor());
  }
  struct stat facts {};
  ::fstat(file.descriptor(), &facts);
  file.put_into_place();
  const int frames = vips_image_get_n_pages(image.get());
  workpool::json value{{"width", vips_image_get_width(image.get())},
                       {"height", vips_image_get_page_height(image.get())},
                       {"bytes", static_cast<std::int64_t>(facts.st_size)}};
  if (order.format->has_frames && frames > 1) value["frames"] = frames;
  return value;
}

// The first line is where it went wrong first.
std::string reason_of_vips(const OpenPicture& picture) {
  const std::unique_ptr<char, void (*)(void*)> text(vips_error_buffer_copy(), g_free);
  const std::string_view all(text.get());
  std::string reason(all.substr(0, all.find('\n')));
  if (reason.empty()) return "libvips has failed and does not say why";
  const std::string name = '"' + picture.name() + '"';
  if (const auto at = reason.find(name); at != std::string::npos)
    reason.replace(at, name.size(), "this file");
  return reason;
}

}  // namespace

// As many at once as there are cores, however many slots the worker has for fetching.
Thumbnails::Thumbnails(const char* program)
    : turnstile_(std::max(2, static_cast<int>(std::thread::hardware_concurrency()))) {
  if (VIPS_INIT(program) != 0) throw std::runtime_error(std::string("libvips: ") + vips_error_buffer());
  vips_concurrency_set(1);         // a picture is one thread's work: the slots are what runs side by side
  vips_cache_set_max(0);           // no picture comes twice, and a file may change
  vips_block_untrusted_set(TRUE);  // readers that are not made for files of strangers
  // Warnings say nothing that a fault does not say, and on stderr nobody could tell whose they are.
  g_log_set_handler(
      "VIPS", G_LOG_LEVEL_WARNING, [](const char*, GLogLevelFlags, const char*, void*) {}, nullptr);
}

workpool::json Thumbnails::make(const workpool::Job& job) {
  const Order order = order_of(job);
  const OpenPicture picture(order.source);
  const std::stop_token stop = job.stop_token();
  try {
    const auto place = turnstile_.enter(stop);
    return make_thumbnail(order, picture, stop);
  } catch (const VipsFault&) {
    if (stop.stop_requested()) throw Failure("stopped");
  }
  // Faults of all threads come together in one text. So what failed is done once more, alone: then the text
  // is about it and nothing else.
  const auto place = turnstile_.enter_alone(stop);
  vips_error_clear();
  try {
    return make_thumbnail(order, picture, stop);
  } catch (const VipsFault&) {
    throw Failure(stop.stop_requested() ? "stopped" : order.source + ": " + reason_of_vips(picture));
  }
}
