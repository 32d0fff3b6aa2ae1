// Text to ids and back. One class for every kind of tokenizer file; what differs is behind two
// virtual functions: a text without its BOS to ids, and ids to text one by one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

struct EncodeOptions {
  /// Whether the tokenizer's beginning of sequence goes in front; unset: as the tokenizer says.
  std::optional<bool> add_bos = std::nullopt;
  /// Whether its end of sequence goes behind; unset: as the tokenizer says.
  std::optional<bool> add_eos = std::nullopt;
  /// Special tokens spelt in the text ("</s>", "[INST]") become their ids. Off for what a user
  /// types: it is plain text then.
  bool parse_special = false;
};

/// The bytes [begin, end) of the text that an id stands for. Empty for an id that stands for none:
/// BOS, EOS, a prefix that the tokenizer made up.
struct TokenSpan {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool operator==(const TokenSpan&) const = default;
};

struct Encoding {
  std::vector<std::int32_t> ids;
  std::vector<TokenSpan> spans;  // one an id; none when spans were not asked for
};

/// Decoding in progress: the same code turns ids to text in one go and while they are generated, so
/// that both give the same bytes.
class DecodeStream {
 public:
  virtual ~DecodeStream() = default;
  /// Appends to `text` what is certain after one more id: whole characters only, maybe nothing.
  /// InputError when the vocabulary ends before `id`.
  virtual void push(std::int32_t id, std::string& text) = 0;
  /// Appends what was held back; U+FFFD stands for bytes that never became a character.
  virtual void finish(std::string& text) = 0;
};

/// Immutable once loaded: any number of threads may use one.
class Tokenizer {
 public:
  /// The tokenizer of a checkpoint folder: tokenizer.json, else tokenizer.model, else vocab.json
  /// with merges.txt; this is the order of transformers, whose fast tokenizers are tokenizer.json,
  /// so that ids are those of the reference where files disagree. `path` may also name one such
  /// file. tokenizer_config.json and special_tokens_map.json beside it are read where they exist.
  /// InputError when there is none or it cannot be understood.
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path& path);

  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// Long texts are encoded by the thread team; the ids do not depend on its size.
  /// InputError naming the first bad byte when `text` is not UTF-8.
  std::vector<std::int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  Encoding encode_with_spans(std::string_view text, const EncodeOptions& options = {}) const;

  /// The text of `ids` taken together: a SentencePiece tokenizer drops the space that encoding put
  /// in front. Special tokens are left out with `skip_special`. InputError for an id that is
  /// negative or not below vocab_size().
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = true) const;
  virtual std::unique_ptr<DecodeStream> decode_stream(bool skip_special = true) const = 0;

  /// As the vocabulary spells it ("Ġthe", "▁the", "<0x0A>"); empty where the vocabulary has a hole.
  /// InputError like decode.
  virtual std::string piece(std::int32_t id) const = 0;
  virtual std::optional<std::int32_t> id_of(std::string_view piece) const = 0;
  /// Largest id + 1, added tokens included.
  virtual std::int64_t vocab_size() const = 0;
  /// Control tokens: decode leaves them out, parse_special finds them in a text.
  virtual bool is_special(std::int32_t id) const = 0;

  std::optional<std::int32_t> bos_id() const { return frame_.bos; }
  std::optional<std::int32_t> eos_id() const { return frame_.eos; }
  /// Whether encode puts ids in front or behind when the options leave it open: add_bos_token and
  /// add_eos_token of tokenizer_config.json, else what the post-processor says; without either
  /// SentencePiece models add BOS, and GPT-2's tokenizer adds nothing.
  bool adds_bos() const { return frame_.adds_bos; }
  bool adds_eos() const { return frame_.adds_eos; }

 protected:
  /// What goes around a text.
  struct Frame {
    std::optional<std::int32_t> bos, eos;
    std::vector<std::int32_t> front, back;  // what add_bos and add_eos put there
    bool adds_bos = false;
    bool adds_eos = false;
  };

  Tokenizer() = default;
  /// Appends the ids of valid UTF-8, nothing around it; spans only where `with_spans`.
  virtual void encode_text(std::string_view text, bool parse_special, bool with_spans,
                           Encoding& encoding) const = 0;
  /// InputError for an id outside the vocabulary.
  void check_id(std::int32_t id) const;

  /// Fills in what `frame_` leaves open. InputError when it adds tokens that there are not.
  void complete_frame(const std::string& where);

  Frame frame_;

 private:
  Encoding encode_framed(std::string_view text, const EncodeOptions& options,
                         bool with_spans) const;
};

}  // namespace plimsoll
