// Broken jobs: each is refused by one sentence that names the file and the field. And, so that the table cannot pass by
// refusing everything, jobs that differ little from them and are read.
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "input/job.h"
#include "tests/test.h"

// Apostrophes stand for quotation marks in the jobs below.
#define HEAD "{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[1],"
#define JOB(sequences) HEAD "'sequences':[" sequences "]}"
#define P(more) "{'protein':{'id':'A','sequence':'PREACHER'" more "}}"
#define R(more) "{'rna':{'id':'B','sequence':'GUAC'" more "}}"
#define D(more) "{'dna':{'id':'C','sequence':'GATC'" more "}}"
#define L(fields) "{'ligand':{'id':'L'," fields "}}"
#define TEMPLATE(fields) JOB(P(",'templates':[{" fields "}]"))
#define T_INDICES(query, hit) TEMPLATE("'mmcif':'data_x','queryIndices':" query ",'templateIndices':" hit)

#define BONDS(list) \
  HEAD "'sequences':[" P("") "," L("'ccdCodes':['NAG','NAG']") ",{'ligand':{'id':'S','smiles':'CCO'}}],"     \
       "'bondedAtomPairs':" list "}"
#define SERVER(fields, sequences) "[{'name':'j'," fields "'sequences':[" sequences "]}]"
#define S_P(more) "{'proteinChain':{'sequence':'PREACHER'" more "}}"

typedef struct {
  const char *job;
  const char *field, *word;  // the message holds "j.json: ", then these
} refusal;

static const refusal refusals[] = {
    // JSON itself.
    {"", "is empty", ""},
    {" \n", "line 2, column 0", "JSON"},
    {"{", "line 1, column 1", "JSON"},
    {"\001\002\377\376rubbish", "line 1", "JSON"},
    {"\xef\xbb\xbf{}", "byte order mark", "UTF-8"},
    {JOB(P("")) "}", "column", "JSON"},
    {"{'name':'j','name':'k'}", "dialect", "missing"},
    {"{'name':'j','name':'k',}", "column", "JSON"},
    {"{'name':'j',}", "column", "JSON"},
    {"{'name':'a\tb'}", "column", "JSON"},
    {"{'name':'\xff'}", "column", "0xff"},
    {"{'name':'\\ud800'}", "column", "JSON"},
    {"{'name':'a\\u0000b'}", "column", "JSON"},
    {"{'modelSeeds':[NaN]}", "column", "NaN"},
    {"{'modelSeeds':[99999999999999999999999]}", "column", "too big"},
    {"{'modelSeeds':[1e999]}", "column", "1e999"},
    {"{name:'j'}", "column", "name"},
    {"null", "top level", "null"},
    {"42", "top level", "a whole number"},
    {"'job'", "top level", "a string"},
    {"[" JOB(P("")) "]", "dialect", "alphafoldserver"},
    {"[]", "empty list", ""},
    {"[1]", "the job", "a whole number"},
    // The top level.
    {"{}", "dialect", "missing"},
    {"{'name':'j','version':1,'modelSeeds':[1],'sequences':[" P("") "]}", "dialect", "missing"},
    {"{'name':'j','dialect':'alphafold3','modelSeeds':[1],'sequences':[" P("") "]}", "version", "missing"},
    {"{'name':'j','dialect':'alphafoldserver','version':1,'modelSeeds':[1],'sequences':[]}", "dialect",
     "stand in a list"},
    {"{'name':'j','dialect':'AlphaFold3','version':1}", "dialect", "AlphaFold3"},
    {"{'name':'j','dialect':3,'version':1}", "dialect", "a whole number"},
    {"{'name':'j','dialect':'alphafold3','version':0}", "version", "0"},
    {"{'name':'j','dialect':'alphafold3','version':5}", "version", "5"},
    {"{'name':'j','dialect':'alphafold3','version':'4'}", "version", "a string"},
    {"{'name':'j','dialect':'alphafold3','version':false}", "version", "false"},
    {"{'name':'j','dialect':'alphafold3','version':1.5}", "version", "a fraction"},
    {"{'name':'j','dialect':'alphafold3','version':null}", "version", "null"},
    {"{'name':'j','dialect':'alphafold3','version':1e30}", "version", "a fraction"},
    {"{'dialect':'alphafold3','version':4,'modelSeeds':[1],'sequences':[" P("") "]}", "name", "missing"},
    {"{'name':7,'dialect':'alphafold3','version':4}", "name", "a whole number"},
    {"{'name':'','dialect':'alphafold3','version':4}", "name", "at least one"},
    {"{'name':'  \\u00a0\\u3000','dialect':'alphafold3','version':4}", "name", "at least one"},
    {"{'name':'\\u00e9!?','dialect':'alphafold3','version':4}", "name", "at least one"},
    {"{'name':'/../','dialect':'alphafold3','version':4}", "name", "directory"},
    {"{'name':'j','dialect':'alphafold3','version':4,'sequences':[" P("") "]}", "modelSeeds", "missing"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[],'sequences':[" P("") "]}", "modelSeeds", "empty"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':1}", "modelSeeds", "list"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[1,-1]}", "modelSeeds[1]",
     "between 0 and 4294967295"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[4294967296]}", "modelSeeds[0]", "4294967295"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[1e30]}", "modelSeeds[0]", "4294967295"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[-1.5]}", "modelSeeds[0]", "between 0"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[4294967296.5]}", "modelSeeds[0]", "4294967295"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':['5.0']}", "modelSeeds[0]", "'5.0' is not a whole"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[' ']}", "modelSeeds[0]", "not a whole number"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':'12'}", "modelSeeds", "a string"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':null}", "modelSeeds", "null"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':['x1']}", "modelSeeds[0]", "x1"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[null]}", "modelSeeds[0]", "null"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[[1]]}", "modelSeeds[0]", "a list"},
    {HEAD "'sequence':[" P("") "]}", "sequence", "no field of a job"},
    {HEAD "'sequences':[" P("") "],'modelseeds':[1]}", "modelseeds", "no field of a job"},
    {"{'name':'j','dialect':'alphafold3','version':4,'modelSeeds':[1]}", "sequences", "missing"},
    {HEAD "'sequences':[]}", "sequences", "empty"},
    {HEAD "'sequences':null}", "sequences", "null"},
    {HEAD "'sequences':{'protein':{}}}", "sequences", "an object"},
    // Bonds.
    {BONDS("'A'"), "bondedAtomPairs", "a string"},
    {BONDS("{}"), "bondedAtomPairs", "an object"},
    {BONDS("[1]"), "bondedAtomPairs[0]", "two atoms"},
    {BONDS("[[]]"), "bondedAtomPairs[0]", "two atoms"},
    {BONDS("[[['A',1,'CA']]]"), "bondedAtomPairs[0]", "two atoms"},
    {BONDS("[[['A',1,'CA'],['L',1,'C1'],['L',1,'C2']]]"), "bondedAtomPairs[0]", "two atoms"},
    {BONDS("[[['A',1],['L',1,'C1']]]"), "bondedAtomPairs[0][0]", "must be a list of"},
    {BONDS("[[['A',1,'CA',1],['L',1,'C1']]]"), "bondedAtomPairs[0][0]", "must be a list of"},
    {BONDS("[[['A','1','CA'],['L',1,'C1']]]"), "bondedAtomPairs[0][0]", "must be a list of"},
    {BONDS("[[['A',1.0,'CA'],['L',1,'C1']]]"), "bondedAtomPairs[0][0]", "must be a list of"},
    {BONDS("[[[1,1,'CA'],['L',1,'C1']]]"), "bondedAtomPairs[0][0]", "must be a list of"},
    {BONDS("[[['A',1,2],['L',1,'C1']]]"), "bondedAtomPairs[0][0]", "must be a list of"},
    {BONDS("[[['A',1,'CA'],'L']]"), "bondedAtomPairs[0][1]", "must be a list of"},
    {BONDS("[[['B',1,'CA'],['L',1,'C1']]]"), "bondedAtomPairs[0][0]", "no chain 'B'"},
    {BONDS("[[['A',1,'CA'],['LL',1,'C1']]]"), "bondedAtomPairs[0][1]", "no chain 'LL'"},
    {BONDS("[[['A',0,'CA'],['L',1,'C1']]]"), "bondedAtomPairs[0][0]", "from 1 to 8"},
    {BONDS("[[['A',9,'CA'],['L',1,'C1']]]"), "bondedAtomPairs[0][0]", "from 1 to 8"},
    {BONDS("[[['A',1,'CA'],['L',3,'C1']]]"), "bondedAtomPairs[0][1]", "from 1 to 2"},
    {BONDS("[[['A',1,'CA'],['S',1,'C1']]]"), "bondedAtomPairs[0][1]", "given by SMILES"},
    {BONDS("[[['S',1,'C1'],['A',1,'CA']]]"), "bondedAtomPairs[0][0]", "given by SMILES"},
    {BONDS("[[['A',1,'CA'],['L',1,'C1']],[['A',1,'CA'],['L',1,'C1']]]"), "bondedAtomPairs[1]", "an earlier one"},
    // Components of one's own.
    {HEAD "'sequences':[" P("") "],'userCCD':1}", "userCCD", "a whole number"},
    {HEAD "'sequences':[" P("") "],'userCCD':'data_X'}", "userCCD: component X", "lacks _chem_comp.id"},
    {HEAD "'sequences':[" P("") "],'userCCD':'nothing'}", "userCCD", "line 1"},
    {HEAD "'sequences':[" P("") "],'userCCD':'t.cif'}", "userCCD", "give it as userCCDPath"},
    {HEAD "'sequences':[" P("") "],'userCCD':'data_X','userCCDPath':'t.cif'}", "userCCD", "only one"},
    {HEAD "'sequences':[" P("") "],'userCCDPath':'x.cif'}", "userCCDPath", "x.cif: cannot be read"},
    {HEAD "'sequences':[" P("") "],'userCCD':''}", "userCCD", "is empty"},
    {HEAD "'sequences':[" P("") "],'userCCDPath':['t.cif']}", "userCCDPath", "a list"},
    {HEAD "'sequences':[" P("") "],'userCCDPath':'empty.cif'}", "userCCDPath", "empty"},
    {HEAD "'sequences':[" P("") "],'userCCDPath':'t.cif'}", "userCCD: component t", "lacks"},
    {HEAD "'sequences':[" P("") "],'userCCDPath':'gs://b/t.cif'}", "userCCDPath", "copy it"},
    {JOB(P(",'unpairedMsaPath':'gs://bucket/x.a3m'")), "protein A: unpairedMsaPath", "copy it"},
    // The AlphaFold Server's dialect.
    {SERVER("'modelSeeds':[-1],", S_P("")), "modelSeeds[0]", "between 0"},
    {SERVER("'modelSeeds':1,", S_P("")), "modelSeeds", "a whole number"},
    {SERVER("'dialect':'alphafoldserver',", S_P("")), "version", "must be given where the other is"},
    {SERVER("'version':1,", S_P("")), "dialect", "must be given where the other is"},
    {SERVER("'version':2,'dialect':'alphafoldserver',", S_P("")), "version", "must be 1"},
    {SERVER("'userCCD':null,", S_P("")), "userCCD", "no field of a job of the AlphaFold Server"},
    {SERVER("", ""), "sequences", "empty"},
    {SERVER("", "{}"), "sequences[0]", "exactly one"},
    {SERVER("", "{'protein':{'sequence':'A'}}"), "sequences[0]", "'protein' is none of"},
    {SERVER("", "{'proteinChain':[]}"), "sequences[0].proteinChain", "a list"},
    {SERVER("", S_P(",'id':'A'")), "sequences[0].proteinChain: id", "no field"},
    {SERVER("", S_P(",'glycans':[]")), "sequences[0].proteinChain: glycans", "not read"},
    {SERVER("", S_P(",'maxTemplateDate':'2018-01-20'")), "proteinChain: maxTemplateDate", "--max_template_date"},
    {SERVER("", S_P(",'useStructureTemplate':'no'")), "useStructureTemplate", "true or false"},
    {SERVER("", S_P(",'glycans':null")), "sequences[0].proteinChain: glycans", "not read"},
    {SERVER("", S_P(",'count':null")), "count", "null"},
    {SERVER("", S_P(",'count':2.0")), "count", "a fraction"},
    {SERVER("", "{'ion':{'ion':''}}"), "ion: ion", "empty"},
    {SERVER("", "{'ion':{'count':1}}"), "ion: ion", "missing"},
    {SERVER("", "{'ligand':{'smiles':'CCO'}}"), "ligand: smiles", "no field"},
    {SERVER("", "{'proteinChain':{'sequence':'A'},'ion':{'ion':'MG'}}"), "sequences[0]", "exactly one"},
    {SERVER("", "{'dnaSequence':{'sequence':'GA-C'}}"), "dnaSequence: sequence", "'-' at 3"},
    {SERVER("'version':1.5,'dialect':'alphafoldserver',", S_P("")), "version", "must be 1"},
    {SERVER("'dialect':'alphafold3','version':1,", S_P("")), "dialect", "alphafoldserver"},
    {SERVER("'bondedAtomPairs':[],", S_P("")), "bondedAtomPairs", "no field of a job of the AlphaFold Server"},
    {"[{'sequences':[" S_P("") "]}]", "name", "missing"},
    {"[{'name':'j'}]", "sequences", "missing"},
    {SERVER("", S_P(",'count':'2'")), "count", "a string"},
    {SERVER("", S_P(",'count':-1")), "count", "between 0"},
    {SERVER("", S_P(",'count':0")), "sequences", "no chain"},
    {SERVER("", S_P(",'count':1000000")), "count", "more than 1000000 residues"},
    {SERVER("", "{'proteinChain':{'count':1}}"), "proteinChain: sequence", "missing"},
    {SERVER("", S_P(",'modifications':[{'ptmType':'CCD_CCD_SEP','ptmPosition':1}]")), "ptmType", "without"},
    {SERVER("", S_P(",'modifications':[{'ptmType':'CCD_SEP','ptmPosition':9}]")), "ptmPosition", "from 1 to 8"},
    {SERVER("", "{'rnaSequence':{'sequence':'GUAC','glycans':[]}}"), "rnaSequence: glycans", "no field"},
    {SERVER("", "{'ligand':{'ligand':'CCD_'}}"), "ligand: ligand", "empty"},
    {SERVER("", "{'ligand':{'ligand':['ATP']}}"), "ligand: ligand", "a list"},
    {SERVER("", "{'ion':{'ligand':'MG'}}"), "ion: ligand", "no field"},
    {"[{'name':'a','sequences':[" S_P("") "]},{'name':'b','sequences':[]}]", "job 2: sequences", "empty"},
    {"[{'name':'a','sequences':[" S_P("") "]},{'name':'b','sequences':[" S_P("") "]}]", "holds 2 jobs",
     "one is wanted"},
    // Entries.
    {JOB("'A'"), "sequences[0]", "a string"},
    {JOB("{}"), "sequences[0]", "exactly one"},
    {JOB(P("") ",{'protein':{'id':'B','sequence':'A'},'rna':{'id':'C','sequence':'A'}}"), "sequences[1]",
     "exactly one"},
    {JOB("{'peptide':{'id':'A','sequence':'A'}}"), "sequences[0]", "peptide"},
    {JOB("{'proteinChain':{'sequence':'A','count':1}}"), "sequences[0]", "proteinChain"},
    {JOB("{'protein':'A'}"), "sequences[0].protein", "a string"},
    {JOB("{'protein':{'sequence':'A'}}"), "sequences[0].protein: id", "missing"},
    {JOB("{'protein':{'id':null,'sequence':'A'}}"), "sequences[0].protein: id", "null"},
    {JOB("{'protein':{'id':'','sequence':'A'}}"), "sequences[0].protein: id", "capital letters"},
    {JOB("{'protein':{'id':[],'sequence':'A'}}"), "sequences[0].protein: id", "empty list"},
    {JOB("{'protein':{'id':['A',2],'sequence':'A'}}"), "sequences[0].protein: id", "a whole number"},
    {JOB("{'protein':{'id':'a','sequence':'A'}}"), "sequences[0].protein: id", "'a'"},
    {JOB("{'protein':{'id':'Ab','sequence':'A'}}"), "sequences[0].protein: id", "'Ab'"},
    {JOB("{'protein':{'id':'\\u00c9','sequence':'A'}}"), "sequences[0].protein: id", "'\xc3\x89'"},
    {JOB("{'protein':{'id':[['A']],'sequence':'A'}}"), "sequences[0].protein: id", "a list"},
    {JOB(L("'smiles':'CCO'") "," L("'ccdCodes':['MG']")), "ligand L: id", "taken"},
    {JOB("{'protein':{'id':'A1','sequence':'A'}}"), "sequences[0].protein: id", "'A1'"},
    {JOB("{'protein':{'id':'A\\n','sequence':'A'}}"), "sequences[0].protein: id", "'A?'"},
    {JOB("{'protein':{'id':['A','A'],'sequence':'A'}}"), "protein A: id", "taken"},
    {JOB(P("") ",{'rna':{'id':['B','A'],'sequence':'A'}}"), "rna B: id", "'A' is taken"},
    // Sequences and modifications.
    {JOB("{'protein':{'id':'A'}}"), "protein A: sequence", "missing"},
    {JOB("{'protein':{'id':'A','sequence':''}}"), "protein A: sequence", "empty"},
    {JOB("{'protein':{'id':'A','sequence':['A']}}"), "protein A: sequence", "a list"},
    {JOB("{'protein':{'id':'A','sequence':'AC DE'}}"), "protein A: sequence", "' ' at 3"},
    {JOB("{'protein':{'id':'A','sequence':'AC1'}}"), "protein A: sequence", "'1' at 3"},
    {JOB("{'protein':{'id':'A','sequence':'AC\\n'}}"), "protein A: sequence", "'?' at 3"},
    {JOB("{'protein':{'id':'A','sequence':'AC*'}}"), "protein A: sequence", "'*' at 3"},
    {JOB("{'rna':{'id':'A','sequence':'A-U'}}"), "rna A: sequence", "'-' at 2"},
    {JOB("{'dna':{'id':'A','sequence':'\\u00c1'}}"), "dna A: sequence", "'\xc3\x81' at 1"},
    {JOB(P(",'modifications':'HY3'")), "protein A: modifications", "a string"},
    {JOB(P(",'modifications':['HY3']")), "protein A: modifications[0]", "a string"},
    {JOB(P(",'modifications':[{'ptmPosition':1}]")), "modifications[0].ptmType", "missing"},
    {JOB(P(",'modifications':[{'ptmType':'','ptmPosition':1}]")), "modifications[0].ptmType", "empty"},
    {JOB(P(",'modifications':[{'ptmType':'CCD_HY3','ptmPosition':1}]")), "modifications[0].ptmType", "CCD_"},
    {JOB(P(",'modifications':[{'ptmType':'HY3'}]")), "modifications[0].ptmPosition", "missing"},
    {JOB(P(",'modifications':[{'ptmType':'HY3','ptmPosition':'1'}]")), "modifications[0].ptmPosition", "a string"},
    {JOB(P(",'modifications':[{'ptmType':'HY3','ptmPosition':1.0}]")), "modifications[0].ptmPosition", "a fraction"},
    {JOB(P(",'modifications':[{'ptmType':'HY3','ptmPosition':0}]")), "modifications[0].ptmPosition", "from 1 to 8"},
    {JOB(P(",'modifications':[{'ptmType':'HY3','ptmPosition':9}]")), "modifications[0].ptmPosition", "9 is outside"},
    {JOB(P(",'modifications':[{'modificationType':'HY3','basePosition':1}]")), "modifications[0].ptmType", "missing"},
    {JOB(R(",'modifications':[{'modificationType':'2MG','basePosition':5}]")), "rna B: modifications[0].basePosition",
     "5 is outside"},
    {JOB(D(",'modifications':[{'modificationType':'6OG','basePosition':9223372036854775807}]")),
     "dna C: modifications[0].basePosition", "outside"},
    {JOB(R(",'modifications':[{'modificationType':'CCD_2MG','basePosition':1}]")), "modificationType", "CCD_"},
    {JOB(D(",'modifications':[{'modificationType':'CCD_6OG','basePosition':1}]")), "modificationType", "CCD_"},
    {JOB(R(",'modifications':[{'modificationType':'2MG','basePosition':0}]")), "rna B: modifications[0].basePosition",
     "from 1 to 4"},
    {JOB(D(",'modifications':[{'modificationType':'6OG','basePosition':0}]")), "dna C: modifications[0].basePosition",
     "from 1 to 4"},
    {JOB(R(",'modifications':[{'ptmType':'2MG','ptmPosition':1}]")), "modifications[0].modificationType", "missing"},
    {JOB("{'dna':{'id':'A','sequence':'GA C'}}"), "dna A: sequence", "' ' at 3"},
    {JOB(P(",'unpairedMSA':''")), "protein A: unpairedMSA", "no field of protein"},
    {JOB(P(",'glycans':[]")), "protein A: glycans", "no field of protein"},
    {JOB(R(",'pairedMsa':''")), "rna B: pairedMsa", "no field of rna"},
    {JOB(R(",'templates':[]")), "rna B: templates", "no field of rna"},
    {JOB(D(",'unpairedMsa':''")), "dna C: unpairedMsa", "no field of dna"},
    {JOB(D(",'unpairedMsaPath':''")), "dna C: unpairedMsaPath", "no field of dna"},
    {JOB(D(",'templates':[]")), "dna C: templates", "no field of dna"},
    {JOB(R(",'pairedMsaPath':''")), "rna B: pairedMsaPath", "no field of rna"},
    {JOB(L("'ccdCodes':['ATP'],'modifications':[]")), "ligand L: modifications", "no field of ligand"},
    {JOB(L("'ccdCodes':['ATP'],'unpairedMsa':''")), "ligand L: unpairedMsa", "no field of ligand"},
    {JOB(R(",'unpairedMsa':'good.a3m'")), "rna B: unpairedMsa", "give it as unpairedMsaPath"},
    {JOB(R(",'unpairedMsa':'>q\\nGUAC','unpairedMsaPath':'good.a3m'")), "rna B: unpairedMsa", "only one"},
    {JOB(P(",'pairedMsa':'good.a3m'")), "protein A: pairedMsa", "give it as pairedMsaPath"},
    {TEMPLATE("'mmcifPath':'gs://b/t.cif'"), "templates[0].mmcifPath", "copy it"},
    // MSAs.
    {JOB(P(",'unpairedMsa':['>q','PREACHER']")), "protein A: unpairedMsa", "a list"},
    {JOB(P(",'unpairedMsa':'PREACHER'")), "protein A: unpairedMsa", "holds no sequence"},
    {JOB(P(",'unpairedMsa':'>q\\nPREACHES\\n'")), "protein A: unpairedMsa", "residue 8"},
    {JOB(P(",'unpairedMsa':'>q\\nPREACHE\\n>x\\nPREACHER'")), "protein A: unpairedMsa", "residue 8"},
    {JOB(P(",'pairedMsa':'>q\\nPREACHERS\\n'") ",{'protein':{'id':'D','sequence':'ACDEF'}}"), "protein A: pairedMsa",
     "residue 9"},
    {JOB("{'protein':{'id':'A','sequence':'AUCDEF','unpairedMsa':'>q\\nAUCDEF'}}"), "protein A: unpairedMsa",
     "the sequence 'AXCDEF' (6), unknown residues as X or N and modified ones as what they are made from; it is given "
     "as "
     "AUCDEF"},
    {JOB(P(",'unpairedMsa':'>q\\nPREACH.R\\n'")), "protein A: unpairedMsa", "'.'"},
    {JOB(P(",'unpairedMsa':'>\\n>x\\nPREACHER'")), "protein A: unpairedMsa", "residue 1"},
    {JOB("{'rna':{'id':'B','sequence':'GUACG','unpairedMsa':'>q\\nGUAGG'}}"), "rna B: unpairedMsa", "residue 4"},
    {JOB(P(",'unpairedMsa':'good.a3m'")), "protein A: unpairedMsa", "give it as unpairedMsaPath"},
    {JOB(P(",'unpairedMsa':'>q\\nPREACHER','unpairedMsaPath':'good.a3m'")), "protein A: unpairedMsa", "only one"},
    {JOB(P(",'pairedMsa':'>q\\nPREACHER','pairedMsaPath':'good.a3m'")), "protein A: pairedMsa", "only one"},
    {JOB(P(",'unpairedMsaPath':7")), "protein A: unpairedMsaPath", "a whole number"},
    {JOB(P(",'unpairedMsaPath':'absent.a3m'")), "protein A: unpairedMsaPath", "absent.a3m"},
    {JOB(P(",'unpairedMsaPath':'two\\nlines'")), "protein A: unpairedMsaPath", "two?lines"},
    {JOB(P(",'pairedMsaPath':'.'")), "protein A: pairedMsaPath", "directory"},
    {JOB(R(",'unpairedMsaPath':'gs://bucket/x'")), "rna B: unpairedMsaPath", "gs://bucket/x"},
    {JOB(P(",'unpairedMsaPath':'rubbish.a3m'")), "protein A: unpairedMsaPath", "rubbish.a3m: is not a text file"},
    {JOB(P(",'unpairedMsaPath':'nul.a3m'")), "protein A: unpairedMsaPath", "nul.a3m: is not a text file (byte 4)"},
    {JOB(P(",'unpairedMsaPath':'cut.gz'")), "protein A: unpairedMsaPath", "cut.gz"},
    {JOB(P(",'unpairedMsaPath':'cut.zst'")), "protein A: unpairedMsaPath", "cut.zst"},
    {JOB(P(",'unpairedMsaPath':'cut.xz'")), "protein A: unpairedMsaPath", "cut.xz"},
    // Templates.
    {JOB(P(",'templates':{}")), "protein A: templates", "an object"},
    {JOB(P(",'templates':'t.cif'")), "protein A: templates", "a string"},
    {JOB(P(",'templates':['t.cif']")), "protein A: templates[0]", "a string"},
    {TEMPLATE(""), "templates[0]", "neither mmcif nor mmcifPath"},
    {TEMPLATE("'mmcif':'','queryIndices':[],'templateIndices':[]"), "templates[0].mmcif", "empty"},
    {TEMPLATE("'mmcif':7"), "templates[0].mmcif", "a whole number"},
    {TEMPLATE("'mmcif':'data_x','mmcifPath':'t.cif'"), "templates[0].mmcif", "only one"},
    {TEMPLATE("'mmcif':'t.cif'"), "templates[0].mmcif", "give it as mmcifPath"},
    {TEMPLATE("'mmcifPath':'absent.cif'"), "templates[0].mmcifPath", "absent.cif"},
    {TEMPLATE("'mmcifPath':'empty.cif','queryIndices':[],'templateIndices':[]"), "templates[0].mmcifPath", "empty"},
    {TEMPLATE("'mmcif':'data_x','chain':'A'"), "protein A: chain", "no field of a template"},
    {TEMPLATE("'mmcif':'data_x','templateIndices':[0]"), "templates[0].queryIndices", "missing"},
    {TEMPLATE("'mmcif':'data_x','queryIndices':[0]"), "templates[0].templateIndices", "missing"},
    {T_INDICES("null", "[0]"), "templates[0].queryIndices", "null"},
    {T_INDICES("[0,1]", "[0]"), "templates[0].templateIndices", "1 entries where queryIndices has 2"},
    {T_INDICES("[0]", "null"), "templates[0].templateIndices", "0 entries"},
    {T_INDICES("[0,8]", "[0,1]"), "templates[0].queryIndices[1]", "8 is beyond"},
    {T_INDICES("[-1]", "[0]"), "templates[0].queryIndices[0]", "below 0"},
    {T_INDICES("[0]", "[-1]"), "templates[0].templateIndices[0]", "below 0"},
    {T_INDICES("[0]", "[2147483647]"), "templates[0].templateIndices[0]", "beyond"},
    {T_INDICES("['0']", "[0]"), "templates[0].queryIndices[0]", "a string"},
    {T_INDICES("[true]", "[0]"), "templates[0].queryIndices[0]", "true"},
    {T_INDICES("[0]", "[0.5]"), "templates[0].templateIndices[0]", "a fraction"},
    // Ligands.
    {JOB("{'ligand':{'id':'L'}}"), "ligand L: ccdCodes", "missing"},
    {JOB(L("'ccdCodes':null")), "ligand L: ccdCodes", "null"},
    {JOB(L("'ccdCodes':'ATP'")), "ligand L: ccdCodes", "a string"},
    {JOB(L("'ccdCodes':[]")), "ligand L: ccdCodes", "empty"},
    {JOB(L("'ccdCodes':null,'smiles':'CCO'")), "ligand L: ccdCodes", "null, leave it out"},
    {JOB(L("'ccdCodes':[],'smiles':'CCO'")), "ligand L: ccdCodes", "leave it out"},
    {JOB(L("'smiles':null")), "ligand L: ccdCodes", "missing"},
    {JOB(L("'ccdCodes':['']")), "ligand L: ccdCodes[0]", "empty"},
    {JOB(L("'ccdCodes':['ATP',1]")), "ligand L: ccdCodes[1]", "a whole number"},
    {JOB(L("'ccdCodes':['ATP'],'smiles':'CCO'")), "ligand L: smiles", "only one"},
    {JOB(L("'smiles':1")), "ligand L: smiles", "a whole number"},
    {JOB(L("'smiles':''")), "ligand L: smiles", "empty"},
    {JOB(L("'ccdCodes':['ATP'],'sequence':'A'")), "ligand L: sequence", "no field of ligand"},
};

static const char *const accepted[] = {
    JOB(P("")),
    JOB(R("")),
    JOB(D("")),
    JOB(L("'ccdCodes':['ATP']")),
    JOB(L("'ccdCodes':['MG']")),
    JOB(L("'ccdCodes':['NAG','FUC'],'smiles':null")),
    JOB(L("'ccdCodes':['ATP'],'smiles':'','description':'fuel'")),
    JOB(P("") "," R("") "," D("") "," L("'ccdCodes':['ATP']")),
    JOB(L("'smiles':'CC(=O)O'")),
    JOB(L("'smiles':'CCO','description':null")),
    BONDS("[]"),
    BONDS("[[['A',1,'CA'],['L',2,'C1']],[['L',1,'O4'],['L',2,'C1']]]"),
    BONDS("[[['A',1,'CA'],['L',2,'C1']],[['L',2,'C1'],['A',1,'CA']]]"),
    BONDS("[[['A',1,'no such atom'],['A',1,'']]]"),
    SERVER("", S_P("")),
    SERVER("'modelSeeds':[],'version':1,'dialect':'alphafoldserver',", S_P(",'count':2")),
    SERVER("'modelSeeds':['5'],", "{'ion':{'ion':'MG','count':3}},{'ligand':{'ligand':'CCD_ATP'}}"),
    SERVER("", "{'rnaSequence':{'sequence':'GUAC','modifications':[{'modificationType':'CCD_2MG','basePosition':1}]}}"),
    SERVER("", "{'dnaSequence':{'sequence':'GATC','modifications':[{'modificationType':'6OG','basePosition':1}]}}"),
    SERVER("", S_P(",'useStructureTemplate':false,'count':0") ",{'dnaSequence':{'sequence':'GATC','count':1}}"),
    "{'name':'j','dialect':'alphafold3','version':1,'modelSeeds':[1],'sequences':[" P("") "]}",
    "{'name':'.j','dialect':'alphafold3','version':2,'modelSeeds':[0,4294967295],'sequences':[" P("") "]}",
    "{'name':'...','dialect':'alphafold3','version':3,'modelSeeds':['5',7.0,5],'sequences':[" P("") "]}",
    "{'name':' \\u00e9','dialect':'alphafold3','version':3,'modelSeeds':[1],'sequences':[" P("") "]}",
    " \n\t" JOB(P("")) "\n\n",
    HEAD "'sequences':[" P("") "],'bondedAtomPairs':null,'userCCD':null,'userCCDPath':null}",
    HEAD "'sequences':[" P("") "],'bondedAtomPairs':[],'userCCD':null,'userCCDPath':''}",
    // As Python reads numbers, names given twice and comments.
    "{'name':'j','dialect':'alphafold3','version':4.0,'modelSeeds':[1.5,-0.5,true,' 5\\n'],'sequences':[" P("") "]}",
    "{'name':'j','dialect':'alphafold3','version':true,'modelSeeds':['+5'],'sequences':[" P("") "]}",
    "{'name':'i','name':'j','dialect':'alphafold3','version':1,'modelSeeds':[1],'sequences':[" P("") "]}",
    JOB(P(",'description':1")),
    JOB(P(",'description':['two',{'words':null}]")),
    JOB("{'protein':{'id':'A','sequence':'PREAcHER'}}"),
    // What later versions brought is read in all.
    "{'name':'j','dialect':'alphafold3','version':1,'modelSeeds':[1],'sequences':[" P(
        ",'unpairedMsaPath':'good.a3m','pairedMsaPath':'good.a3m','description':'d'") "]}",
    SERVER("'modelSeeds':null,", S_P(",'useStructureTemplate':null")),
    SERVER("'dialect':'alphafoldserver','version':1.0,", S_P(",'useStructureTemplate':0")),
    SERVER("", S_P(",'useStructureTemplate':1")),
    JOB("{'protein':{'id':['A','B','AA'],'sequence':'A'}}"),
    JOB("{'protein':{'id':['Z'],'sequence':'A'}}"),
    JOB("{'protein':{'id':'ABCDEFGHIJ','sequence':'X'}}"),
    JOB("{'protein':{'id':'A','sequence':'ABCDEFGHIJKLMNOPQRSTUVWXYZ'}}"),
    JOB("{'rna':{'id':'A','sequence':'ACGUNT'}}"),
    JOB("{'dna':{'id':'A','sequence':'ACGTNU'}}"),
    JOB(P(",'modifications':null,'description':null,'unpairedMsa':null,'pairedMsa':null,'templates':null")),
    JOB(P(",'modifications':[],'description':'','unpairedMsa':'','pairedMsa':'','templates':[]")),
    JOB(P(",'modifications':[{'ptmType':'HY3','ptmPosition':1},{'ptmType':'P1L','ptmPosition':8}]")),
    JOB(P(",'modifications':[{'ptmType':'HY3','ptmPosition':1,'note':'why'}]")),
    JOB(P(",'modifications':[{'ptmType':'SEP','ptmPosition':1},{'ptmType':'HY3','ptmPosition':1}]")),
    JOB(R(",'modifications':[{'modificationType':'2MG','basePosition':1}],'unpairedMsa':'>q\\nGUAC'")),
    JOB(P(",'unpairedMsa':'>q\\nPREACHER\\n>x\\nPR--aCHER','pairedMsa':''")),
    // MSAs that are not read: of short chains, and paired ones where there is nothing to pair with.
    JOB(P(",'pairedMsa':'>q\\nOTHER'") ",{'protein':{'id':['D','E'],'sequence':'PREACHER'}}"),
    JOB(R(",'unpairedMsa':'>q\\nGUAG'")),
    JOB(P(",'pairedMsa':'>q\\nOTHER'") ",{'protein':{'id':'D','sequence':'XXX'}}"),
    JOB("{'protein':{'id':'A','sequence':'AUCDEF','unpairedMsa':'>q\\nAXCDEF'}}"),
    JOB(P(",'unpairedMsa':'>q\\r\\nPREA\\r\\nCHER\\r\\n>x\\r\\n--------'")),
    JOB(P(",'unpairedMsa':'>q\\nPRaaEACHER'")),
    JOB(P(",'unpairedMsa':' \\n '")),
    // The MSA's row shows the residue a modification came from.
    JOB(P(",'modifications':[{'ptmType':'MSE','ptmPosition':1}],'unpairedMsa':'>q\\nMREACHER'")),
    JOB(P(",'unpairedMsa':'','unpairedMsaPath':'good.a3m','pairedMsa':null,'pairedMsaPath':''")),
    JOB(P(",'unpairedMsaPath':'good.a3m','pairedMsaPath':'good.a3m'")),
    TEMPLATE("'mmcif':'data_x','queryIndices':[0,7],'templateIndices':[5,0]"),
    TEMPLATE("'mmcif':'data_x','queryIndices':[],'templateIndices':null"),
    TEMPLATE("'mmcif':null,'mmcifPath':'t.cif','queryIndices':[0,0],'templateIndices':[1,2]"),
};

static char directory[400], path[512];

static void write_beside(const char *name, const void *bytes, size_t size) {
  char file[512];
  snprintf(file, sizeof file, "%s/%s", directory, name);
  CHECK_OK(nf_file_write(file, bytes, size));
}

// The files the jobs speak of; the working directory is theirs, as a path given inline is looked for there.
static void make_files(void) {
  if (*directory) return;
  snprintf(directory, sizeof directory, "%s", test_dir());
  snprintf(path, sizeof path, "%s/j.json", directory);
  write_beside("good.a3m", ">q\nPREACHER\n", 12);
  write_beside("t.cif", "data_t\n", 7);
  write_beside("empty.cif", "", 0);
  write_beside("rubbish.a3m", "\x80\x81\xfe\xff>q", 6);
  write_beside("nul.a3m", ">q\n\0PREACHER", 12);
  write_beside("cut.gz", "\x1f\x8b\x08\x00\x00\x00", 6);
  write_beside("cut.zst", "\x28\xb5\x2f\xfd\x24", 5);
  write_beside("cut.xz", "\xfd\x37zXZ\x00\x00", 7);
  CHECK(chdir(directory) == 0);
}

static char *with_quotes(const char *text) {
  char *copy = nf_strdup(text);
  for (char *c = copy; *c; c++) {
    if (*c == '\'') *c = '"';
  }
  return copy;
}

TEST(broken_jobs_are_refused_by_name) {
  make_files();
  int n = sizeof refusals / sizeof *refusals;
  for (int i = 0; i < n; i++) {
    nf_arena *arena = nf_arena_create();
    nf_job job;
    char *text = with_quotes(refusals[i].job), *field = with_quotes(refusals[i].field);
    char *word = with_quotes(refusals[i].word);
    nf_status status = job_parse(path, text, strlen(text), arena, &job);
    const char *message = nf_message();
    const char *at = status == NF_OK ? NULL : strstr(message, "j.json: ");
    at = at ? strstr(at, field) : NULL;
    if (status != NF_INPUT || !at || !strstr(message, word) || strchr(message, '\n')) {
      test_fail(__FILE__, __LINE__, "%s: status %d, message \"%s\", expected \"%s\" and \"%s\"", refusals[i].job,
                status, message, field, word);
    }
    free(text);
    free(field);
    free(word);
    nf_arena_free(arena);
  }
  printf("  %d broken jobs refused\n", n);
  CHECK(n >= 60);
}

TEST(their_neighbours_are_read) {
  make_files();
  int n = sizeof accepted / sizeof *accepted;
  for (int i = 0; i < n; i++) {
    nf_arena *arena = nf_arena_create();
    nf_job job;
    char *text = with_quotes(accepted[i]);
    if (job_parse(path, text, strlen(text), arena, &job) != NF_OK) {
      test_fail(__FILE__, __LINE__, "%s: %s", accepted[i], nf_message());
    }
    free(text);
    nf_arena_free(arena);
  }
  printf("  %d jobs read\n", n);
}

TEST(every_job_cut_short_is_refused) {
  make_files();
  char *text =
      with_quotes(JOB(P(",'unpairedMsa':'>q\\nPREACHER','templates':[{'mmcif':'data_x','queryIndices':[0],"
                        "'templateIndices':[0]}]") "," R("") "," D("") "," L("'ccdCodes':['ATP']")));
  size_t length = strlen(text);
  for (size_t cut = 0; cut <= length; cut++) {
    nf_arena *arena = nf_arena_create();
    nf_job job;
    // On the heap and unterminated, so that reading beyond the end is seen.
    char *piece = nf_alloc(cut ? cut : 1);
    memcpy(piece, text, cut);
    nf_status status = job_parse(path, piece, cut, arena, &job);
    CHECK_INT(status, cut == length ? NF_OK : NF_INPUT);
    free(piece);
    nf_arena_free(arena);
  }
  free(text);
}

static nf_status parse_text(const nf_str *text) {
  nf_arena *arena = nf_arena_create();
  nf_job job;
  nf_status status = job_parse(path, text->data, text->length, arena, &job);
  nf_arena_free(arena);
  return status;
}

TEST(deep_and_huge_jobs) {
  make_files();
  nf_str s = {0};
  for (int i = 0; i < 100000; i++) nf_str_putc(&s, '[');
  CHECK_INT(parse_text(&s), NF_INPUT);
  CHECK(strstr(nf_message(), "depth"));
  nf_str_free(&s);
  for (int i = 0; i < 100000; i++) nf_str_puts(&s, "{\"sequences\":[");
  CHECK_INT(parse_text(&s), NF_INPUT);
  nf_str_free(&s);

  char *head = with_quotes(HEAD "'sequences':[{'protein':{'id':'A','sequence':'");
  nf_str_puts(&s, head);
  for (int i = 0; i < 1000001; i++) nf_str_putc(&s, 'A');
  nf_str_puts(&s, "\"}}]}");
  CHECK_INT(parse_text(&s), NF_INPUT);
  CHECK(strstr(nf_message(), "protein A: sequence: is longer than 1000000"));
  nf_str_free(&s);

  nf_str_puts(&s, head);
  for (int i = 0; i < 600000; i++) nf_str_putc(&s, 'A');
  nf_str_puts(&s, "\"}},{\"protein\":{\"id\":\"B\",\"sequence\":\"");
  for (int i = 0; i < 600000; i++) nf_str_putc(&s, 'A');
  nf_str_puts(&s, "\"}}]}");
  CHECK_INT(parse_text(&s), NF_INPUT);
  CHECK(strstr(nf_message(), "protein B: id: with these chains"));
  nf_str_free(&s);
  free(head);

  nf_str_puts(&s, "{\"dialect\":\"alphafold3\",\"version\":4,\"name\":\"");
  for (int i = 0; i < 191; i++) nf_str_putc(&s, 'n');
  nf_str_puts(&s, "\"}");
  CHECK_INT(parse_text(&s), NF_INPUT);
  CHECK(strstr(nf_message(), "name: is too long"));
  nf_str_free(&s);

  // A key of any size and content leaves the message one short line.
  nf_str_puts(&s, "{\"");
  for (int i = 0; i < 100000; i++) nf_str_puts(&s, "\\n\\u2028k");
  nf_str_puts(&s, "\":1}");
  CHECK_INT(parse_text(&s), NF_INPUT);
  CHECK(!strchr(nf_message(), '\n') && strlen(nf_message()) < 700);
  nf_str_free(&s);
}

TEST(unreadable_paths) {
  nf_arena *arena = nf_arena_create();
  nf_job job;
  CHECK_INT(job_read("/nonexistent/j.json", arena, &job), NF_INPUT);
  CHECK(strstr(nf_message(), "/nonexistent/j.json: cannot be read"));
  CHECK_INT(job_read("/", arena, &job), NF_INPUT);
  CHECK(strstr(nf_message(), "directory"));
  nf_arena_free(arena);
}
