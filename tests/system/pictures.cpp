// SPDX-License-Identifier: MIT
// Makes and measures pictures for test_media_worker.py, by libvips.
//
//   pictures make FOLDER COUNT PHOTO...   COUNT pictures of many kinds, cut out of photographs, each with a
//   red
//                                         corner at the top left as it is shown; a line of JSON for each
//   pictures measure FILE...              a line of JSON for each: size, bands, and the mean of that corner
#include <vips/vips.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

VipsImage* good(int status, VipsImage* image) {
  if (status == 0) return image;
  std::fprintf(stderr, "pictures: %s", vips_error_buffer());
  std::exit(1);
}

// Nothing is given back: the process is short.
#define MADE_BY(call, ...)                \
  [&] {                                   \
    VipsImage* out = nullptr;             \
    const int status = call(__VA_ARGS__); \
    return good(status, out);             \
  }()

VipsImage* flipped(VipsImage* in) { return MADE_BY(vips_flip, in, &out, VIPS_DIRECTION_HORIZONTAL, nullptr); }
VipsImage* turned(VipsImage* in, VipsAngle angle) { return MADE_BY(vips_rot, in, &out, angle, nullptr); }

// What is stored so that it is shown as `in` with this EXIF orientation.
VipsImage* oriented(VipsImage* in, int orientation) {
  static constexpr VipsAngle kBack[] = {VIPS_ANGLE_D0,   VIPS_ANGLE_D0,   VIPS_ANGLE_D0,
                                        VIPS_ANGLE_D180, VIPS_ANGLE_D180, VIPS_ANGLE_D270,
                                        VIPS_ANGLE_D270, VIPS_ANGLE_D90,  VIPS_ANGLE_D90};
  const bool mirrored = orientation == 2 || orientation == 4 || orientation == 5 || orientation == 7;
  VipsImage* const stored = turned(mirrored ? flipped(in) : in, kBack[orientation]);
  VipsImage* const own = MADE_BY(vips_copy, stored, &out, nullptr);
  vips_image_set_int(own, VIPS_META_ORIENTATION, orientation);
  return own;
}

VipsImage* in_16_bits(VipsImage* in) {
  return MADE_BY(vips_colourspace, in, &out, VIPS_INTERPRETATION_RGB16, nullptr);
}

// Three of them, each unlike the one before, since WebP makes one of frames that are equal.
VipsImage* frames(VipsImage* in) {
  VipsImage* const other = MADE_BY(vips_invert, in, &out, nullptr);
  std::vector<VipsImage*> all = {in, other, in};
  const int count = static_cast<int>(all.size());
  VipsImage* const strip = MADE_BY(vips_arrayjoin, all.data(), &out, count, "across", 1, nullptr);
  VipsImage* const own = MADE_BY(vips_copy, strip, &out, nullptr);
  vips_image_set_int(own, VIPS_META_PAGE_HEIGHT, vips_image_get_height(in));
  std::vector<int> milliseconds(all.size(), 100);
  vips_image_set_array_int(own, "delay", milliseconds.data(), count);
  return own;
}

// With a corner of a quarter of each side in red.
VipsImage* piece(VipsImage* photo, int number) {
  const int width = std::min(160 + number * 37 % 640, vips_image_get_width(photo));
  const int height = std::min(120 + number * 53 % 560, vips_image_get_height(photo));
  const int left = number * 101 % (vips_image_get_width(photo) - width + 1);
  VipsImage* const cut = MADE_BY(vips_crop, photo, &out, left, 0, width, height, nullptr);
  VipsImage* const own = vips_image_copy_memory(cut);
  double red[] = {230, 20, 20};
  good(vips_draw_rect(own, red, 3, 0, 0, width / 4, height / 4, "fill", TRUE, nullptr), own);
  return own;
}

void make(const std::string& folder, int count, const std::vector<VipsImage*>& photos) {
  static constexpr const char* kKinds[] = {"jpeg", "turned", "png",    "png16", "cmyk",   "turned", "alpha",
                                           "webp", "grey",   "tiff16", "gif",   "moving", "turned", "jpeg"};
  int turn = 0;
  for (int number = 0; number < count; ++number) {
    const std::string kind = kKinds[number % std::size(kKinds)];
    VipsImage* image = piece(photos[static_cast<std::size_t>(number) % photos.size()], number);
    const int width = vips_image_get_width(image);
    const int height = vips_image_get_height(image);
    std::string ending = ".jpg";
    if (kind == "turned") image = oriented(image, 1 + turn++ % 8);
    if (kind == "png" || kind == "png16" || kind == "alpha") ending = ".png";
    if (kind == "webp" || kind == "moving") ending = ".webp";
    if (kind == "tiff16") ending = ".tif";
    if (kind == "gif") ending = ".gif";
    if (kind == "png16" || kind == "tiff16") image = in_16_bits(image);
    if (kind == "cmyk") image = MADE_BY(vips_colourspace, image, &out, VIPS_INTERPRETATION_CMYK, nullptr);
    if (kind == "grey") image = MADE_BY(vips_colourspace, image, &out, VIPS_INTERPRETATION_B_W, nullptr);
    if (kind == "alpha") image = MADE_BY(vips_addalpha, image, &out, nullptr);
    if (kind == "gif" || kind == "moving") image = frames(image);
    const std::string name = kind + " [" + std::to_string(number) + "]" + ending;
    VipsTarget* const target = vips_target_new_to_file((folder + "/" + name).c_str());
    good(vips_image_write_to_target(image, ending.c_str(), target, nullptr), image);
    g_object_unref(target);
    std::printf("{\"name\":\"%s\",\"kind\":\"%s\",\"width\":%d,\"height\":%d}\n", name.c_str(), kind.c_str(),
                width, height);
  }
}

void measure(const char* path) {
  VipsSource* const source = vips_source_new_from_file(path);
  VipsImage* const image =
      source == nullptr ? good(1, nullptr) : vips_image_new_from_source(source, "", nullptr);
  if (image == nullptr) good(1, nullptr);
  const int width = vips_image_get_width(image);
  const int height = vips_image_get_page_height(image);
  VipsImage* const corner =
      MADE_BY(vips_crop, image, &out, 0, 0, std::max(1, width / 6), std::max(1, height / 6), nullptr);
  VipsImage* const facts = MADE_BY(vips_stats, corner, &out, nullptr);
  std::printf(
      "{\"width\":%d,\"height\":%d,\"bands\":%d,\"format\":%d,\"orientation\":%d,\"frames\":%d,\"corner\":[",
      width, height, vips_image_get_bands(image), vips_image_get_format(image),
      vips_image_get_orientation(image), vips_image_get_n_pages(image));
  for (int band = 0; band < vips_image_get_bands(image); ++band)
    std::printf("%s%.1f", band == 0 ? "" : ",", *VIPS_MATRIX(facts, 4, band + 1));
  std::printf("]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (VIPS_INIT(argv[0]) != 0 || argc < 3) return 2;
  const std::string what = argv[1];
  if (what == "measure") {
    for (int i = 2; i < argc; ++i) measure(argv[i]);
    return 0;
  }
  if (argc < 5) return 2;
  std::vector<VipsImage*> photos;
  for (int i = 4; i < argc; ++i) {
    VipsImage* const photo = vips_image_new_from_file(argv[i], nullptr);
    if (photo == nullptr) good(1, nullptr);
    photos.push_back(vips_image_copy_memory(photo));
  }
  make(argv[2], std::atoi(argv[3]), photos);
  return 0;
}
