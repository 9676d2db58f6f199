# ruff: noqa: E501  (a sentence for a person stays in one piece)
"""What one room tells another in English, and its French: details of faults, refusals, troubles of lines and updates.

On the sockets, in the logs, in the journal and towards the central system these stay English, with their values in
them; only who shows one to a person turns it into French. `{}` stands where a value goes in; a value that is a
sentence of this table itself is translated too. A test finds every such sentence in the code and wants it here.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Final

FRENCH: Final[dict[str, str]] = {
    "{}; {}": "{} ; {}",
    # --- why the station is in safe mode
    "it was killed, or ended without a word": "il a été tué, ou s'est arrêté sans un mot",
    "it ended with status {}; its log says why": "il s'est arrêté avec le code {} ; son journal dit pourquoi",
    "safe mode": "mode sûr",
    "not yet connected": "pas encore connecté",
    # --- the way to the central system
    "connected, but nothing is answered": "connecté, mais rien n'obtient de réponse",
    "for {} min": "depuis {} min",
    "modem resets: {}": "réinitialisations du modem : {}",
    "modem power cycles: {}": "coupures du modem : {}",
    "restarts of the controller: {}": "redémarrages du contrôleur : {}",
    "{}: status {}": "{} : code de sortie {}",
    "{}: status {}, {}": "{} : code de sortie {}, {}",
    "{}: no end after {} s": "{} : pas terminé après {} s",
    # --- details of faults: pilot, proximity, socket
    "12 V from C with the plug still in": "12 V depuis l'état C, fiche toujours en place",
    "12 V from C, {} times in one plug-in": "12 V depuis l'état C, {} fois pendant un même branchement",
    "low half of the pilot {} V instead of -12 V": "demi-onde basse du pilote {} V au lieu de -12 V",
    "measured {} %, commanded {} %": "mesuré {} %, commandé {} %",
    "{} V": "{} V",
    "{} V / {} V": "{} V / {} V",
    "inf ohm": "circuit ouvert",
    "{} ohm": "{} ohms",
    "inf ohm, the cable was {} A": "circuit ouvert, le câble était de {} A",
    "{} ohm, the cable was {} A": "{} ohms, le câble était de {} A",
    "domestic socket: {}": "prise domestique : {}",
    "derated to {}": "réduit à {}",
    "no confirmation from the end switch": "pas de confirmation de la fin de course",
    "the end switch no longer confirms": "la fin de course ne confirme plus",
    # --- protection, contactor, converter
    "the 30 mA device has tripped": "le dispositif 30 mA a déclenché",
    "the 6 mA detection has tripped": "la détection 6 mA a déclenché",
    "under test the 30 mA device {}, the 6 mA device {}": "au test, dispositif 30 mA : {} ; dispositif 6 mA : {}",
    "tripped": "déclenché",
    "did not trip": "pas déclenché",
    "the devices stayed tripped after the test": "les dispositifs sont restés déclenchés après le test",
    "commanded open; mirror contact {}, load side {}": "commandé ouvert ; contact miroir {}, côté charge {}",
    "mirror contact {}, load side {}": "contact miroir {}, côté charge {}",
    "mirror contact {}, load side {} after {} tries": "contact miroir {}, côté charge {} après {} essais",
    "open": "ouvert",
    "closed": "fermé",
    "live": "sous tension",
    "dead": "hors tension",
    "reference {} V instead of 2.50 V": "référence {} V au lieu de 2,50 V",
    "converter: the reference is not 2.5 V": "convertisseur : la référence n'est pas à 2,5 V",
    "contactor: mirror contact or load side tell that it is not open": "contacteur : le contact miroir ou le côté charge indique qu'il n'est pas ouvert",
    "lock: both end switches tell the same": "verrou : les deux fins de course disent la même chose",
    "lock: the {} end was not reached": "verrou : la fin de course {} n'a pas été atteinte",
    "pilot: {} % read back, {} % commanded": "pilote : {} % relus, {} % commandés",
    "pilot: {} % read back, {}": "pilote : {} % relus, {}",
    "{} % commanded (within {} %)": "{} % commandés (à {} % près)",
    "lock: {} after {} s (at most {} s)": "verrou : {} après {} s (au plus {} s)",
    "30 mA device tripped after {} ms, 6 mA detection after {} ms {}": "dispositif 30 mA déclenché après {} ms, détection 6 mA après {} ms {}",
    "(at most {} ms)": "(au plus {} ms)",
    "both quiet after {} ms (at most {} ms)": "tous deux calmes après {} ms (au plus {} ms)",
    "contactor: mirror contact and load side tell that it is open": "contacteur : contact miroir et côté charge disent qu'il est ouvert",
    "still armed {} s after the start, without a heartbeat: it does not drop": "encore armé {} s après le démarrage, sans battement : il ne retombe pas",
    "{} was read instead": "{} a été lu à la place",
    "{} is missing": "{} manque",
    "it cannot be set aside: {}": "il ne peut être mis de côté : {}",
    "'{}' was recorded less than {} min ago": "« {} » a été enregistré il y a moins de {} min",
    "{} ms late": "{} ms de retard",
    'it has no code where a {} has one: is model = "{}" right?': 'il n\'a pas de code là où un {} en a un : model = "{}" est-il juste ?',
    'it answers, but its voltages read {}: is model = "{}" right?': 'il répond, mais ses tensions se lisent {} : model = "{}" est-il juste ?',
    # --- external pilot controllers
    "a car is connected: unplug it first": "un véhicule est branché : débranchez-le d'abord",
    "{} is not active": "{} n'est pas actif",
    "told {} A, it holds {} A": "ordre de {} A, il tient {} A",
    "its contactor is closed without permission": "son contacteur est fermé sans autorisation",
    "permits {} A by itself after its own start: write 0 into its register {}, or a power cut lets a car charge without permission": "autorise {} A de lui-même après son démarrage : écrivez 0 dans son registre {}, sinon une coupure laisse charger sans autorisation",
    "the pilot controller keeps the plug locked until the car lets go of the pilot": "le contrôleur pilote garde la fiche verrouillée jusqu'à ce que le véhicule libère le pilote",
    "the pilot controller tests itself; nothing can be ordered here": "le contrôleur pilote se teste lui-même ; rien ne peut être commandé ici",
    "there is no recorder: the pilot is the external controller's": "pas d'enregistreur : le pilote est celui du contrôleur externe",
    "this pilot controller cannot be told to: switch its supply off and on": "ce contrôleur pilote ne peut en recevoir l'ordre : coupez puis remettez son alimentation",
    "this pilot controller does not tell about its lock; it releases the plug by its own rules": "ce contrôleur pilote ne dit rien de son verrou ; il libère la fiche selon ses propres règles",
    "unit {} on {} gave {} bits, asked for {}": "l'unité {} sur {} a donné {} bits au lieu de {}",
    "state {}": "état {}",
    "vehicle state {}, which its map does not know": "état du véhicule {}, inconnu de sa table",
    "diode check failed": "contrôle de la diode en échec",
    "ventilation required": "ventilation demandée",
    "RCD check error": "défaut du contrôle différentiel",
    "cable of 13 or 20 A rejected": "câble de 13 ou 20 A refusé",
    "cable of 13 A rejected": "câble de 13 A refusé",
    "invalid proximity value": "valeur de proximité invalide",
    "invalid pilot value": "valeur du pilote invalide",
    "locking failed": "verrouillage en échec",
    "unlocking failed": "déverrouillage en échec",
    "locking detection lost": "détection de verrouillage perdue",
    "over-current seen by the controller": "surintensité vue par le contrôleur",
    "state D rejected": "état D refusé",
    "contactor failure": "défaut du contacteur",
    "no diode on the pilot": "pas de diode sur le pilote",
    # --- one connector of a point at a time
    "the domestic socket of this point is in use": "la prise domestique de ce point est utilisée",
    "the Type 2 socket of this point is in use": "la prise de type 2 de ce point est utilisée",
    "reserved for the domestic socket": "réservé pour la prise domestique",
    "reserved for the Type 2 socket": "réservé pour la prise de type 2",
    # --- meters
    "{} A drawn, {} A offered": "{} A consommés, {} A offerts",
    "L{}: {} V": "L{} : {} V",
    "no usable answer from unit {} on {}": "pas de réponse utilisable de l'unité {} sur {}",
    "unit {} on {} gave {} registers, asked for {}": "l'unité {} sur {} a donné {} registres au lieu de {}",
    "unit {} on {} refused {}: {}": "l'unité {} sur {} a refusé {} : {}",
    "registers {}+{}": "les registres {}+{}",
    "bits {}+{}": "les bits {}+{}",
    "writing {} registers from {}": "l'écriture de {} registres à partir de {}",
    "writing coil {}": "l'écriture de la bobine {}",
    "unit {} on {}: {}": "unité {} sur {} : {}",
    "unit {} answers already: two meters of one number would both be lost": "l'unité {} répond déjà : deux compteurs du même numéro seraient perdus tous deux",
    "unit {} does not answer as a known meter": "l'unité {} ne répond pas comme un compteur connu",
    "the unit number of {} is set at its display": "le numéro d'unité de {} se règle à son afficheur",
    "the unit number of {} is set with its buttons": "le numéro d'unité de {} se règle avec ses boutons",
    "no source that we trust says where {} keeps its unit number: set it by its maker's manual": "aucune source sûre ne dit où {} garde son numéro d'unité : réglez-le selon la notice du fabricant",
    "unit {} does not read like a {}, but like {}": "l'unité {} ne se lit pas comme un {}, mais comme {}",
    "unit {} reads the same as {}: see which it is and name it, like meters address {} {} {}": "l'unité {} se lit aussi bien comme {} : voyez lequel c'est et nommez-le, par exemple meters address {} {} {}",
    "the meter answers neither as unit {} nor as unit {}: scan the bus": "le compteur ne répond ni comme unité {} ni comme unité {} : cherchez sur le bus",
    "the station uses it; stop the station first": "la station l'utilise ; arrêtez-la d'abord",
    "unit {}: answers, but fits no register map": "unité {} : répond, mais aucune table de registres ne convient",
    "unit {}: {}, model {}": "unité {} : {}, modèle {}",
    "{} (by its values; it has no code)": "{} (d'après ses valeurs ; il n'a pas de code)",
    "{}, register {} kWh": "{}, index {} kWh",
    "{}; reads the same as {}": "{} ; se lit comme {}",
    "the meter says it is a {} (code 0x{}), configured is {}": "le compteur se dit {} (code 0x{}), la configuration dit {}",
    "exponent register {} reads {}": "le registre d'exposant {} indique {}",
    "energy register reads {} Wh": "l'index d'énergie indique {} Wh",
    "energy register went back from {} Wh to {} Wh": "l'index d'énergie a reculé de {} Wh à {} Wh",
    "energy register jumped from {} Wh to {} Wh": "l'index d'énergie a bondi de {} Wh à {} Wh",
    "voltage of L{} reads {} V": "la tension de L{} indique {} V",
    "current of L{} reads {} A": "le courant de L{} indique {} A",
    "{} cannot be opened; is it there, and free?": "{} ne peut être ouvert : est-il branché, et libre ?",
    "the meter does not sign: {}": "le compteur ne signe pas : {}",
    "its clock is not set": "son horloge n'est pas réglée",
    "a checksum is wrong": "une somme de contrôle est fausse",
    "it does not know the command": "il ne connaît pas la commande",
    "the command does not fit its state": "la commande ne convient pas à son état",
    "a measurement is invalid": "une mesure n'est pas valable",
    "it is in test mode": "il est en mode d'essai",
    "it could not make its keys": "il n'a pu créer ses clés",
    "the hash failed": "le hachage a échoué",
    "its public key is wrong": "sa clé publique est fausse",
    "the data set has a wrong form": "le jeu de données a une mauvaise forme",
    "the data set has a wrong length": "le jeu de données a une mauvaise longueur",
    "signing failed": "la signature a échoué",
    "the meter has no transaction to end": "le compteur n'a pas de transaction à terminer",
    "the meter reads back another data set than was written": "le compteur relit d'autres données que celles écrites",
    "the meter tells lengths of {} and {} bytes": "le compteur annonce des longueurs de {} et {} octets",
    "the meter {} within {} s (register {} reads {})": "le compteur n'a pas fini en {1} s : {0} (le registre {2} indique {3})",
    # --- readers, serial lines, Linky
    "Wiegand 26: facility, card": "Wiegand 26 : site, carte",
    'byte_order = "lsb"': 'byte_order = "lsb"',
    'byte_order = "msb"': 'byte_order = "msb"',
    "decimal of four bytes": "décimal sur quatre octets",
    "decimal, reversed": "décimal, inversé",
    "printed on 125 kHz tags (last three bytes)": "imprimé sur les badges 125 kHz (trois derniers octets)",
    "with colons": "avec deux-points",
    "the reader does not answer": "le lecteur ne répond pas",
    "reader {}: {}": "lecteur {} : {}",
    "an input device takes nothing": "un périphérique d'entrée ne reçoit rien",
    "the input device ended": "le périphérique d'entrée a disparu",
    "{} went away: {}": "{} a disparu : {}",
    "{} cannot be opened: {}": "{} ne peut être ouvert : {}",
    "{} does not take bytes: {}": "{} n'accepte pas d'octets : {}",
    "only damaged frames on {}, {} groups with a wrong checksum: check its two wires": "que des trames abîmées sur {}, {} groupes à somme de contrôle fausse : vérifier ses deux fils",
    "only parts of frames on {}, {} were cut off: check its two wires": "que des morceaux de trames sur {}, {} ont été coupées : vérifier ses deux fils",
    "no whole frame on {}, in standard mode or in historical mode": "aucune trame entière sur {}, ni en mode standard ni en mode historique",
    "only meters of another serial than {} are heard on {}": "seuls des compteurs d'un autre numéro que {} sont entendus sur {}",
    "another meter speaks: its serial is {}, configured is {}": "un autre compteur parle : son numéro est {}, la configuration dit {}",
    "{}: {}": "{} : {}",
    "{}: heard for a short time only": "{} : entendu depuis peu seulement",
    "{}: never heard": "{} : jamais entendu",
    "{}: silent": "{} : muet",
    "wired backwards on {}": "monté à l'envers sur {}",
    "phases exchanged: {} of the borne is seen on {}": "phases échangées : {} de la borne apparaît sur {}",
    "does not see what the borne draws on {}": "ne voit pas ce que la borne consomme sur {}",
    "the GPIO chip ended": "le circuit GPIO a disparu",
    "these lines are only listened to": "ces lignes sont seulement écoutées",
    "tic": "Linky",
    "building-meter": "compteur du bâtiment",
    "never heard": "jamais entendu",
    "silent": "muet",
    "heard for a short time only": "entendu depuis peu seulement",
    # --- refusals at a point
    "refused: there is nothing to do at this point now": "refusé : il n'y a rien à faire à ce point maintenant",
    "failed: the point did not do it in time": "échec : le point ne l'a pas fait à temps",
    "this borne has no buzzer; one that is fitted needs enabled = true in [buzzer]": "cette borne n'a pas d'avertisseur sonore ; s'il y en a un, il faut enabled = true dans [buzzer]",
    "this point cannot do that": "ce point ne sait pas faire cela",
    "nothing holds a plug in the domestic socket: `stop` ends its session": "rien ne retient une fiche dans la prise domestique : `stop` termine sa session",
    "there is no such point": "ce point n'existe pas",
    "there is no point {}": "le point {} n'existe pas",
    "there is no point {}: this station has {}": "le point {} n'existe pas : cette borne a {}",
    "point {} has no connector {}: it has {}": "le point {} n'a pas de connecteur {} : il a {}",
    "a token of {} characters cannot be told to the central system: give 1 to 20": "un identifiant de {} caractères ne peut être transmis au système central : en donner 1 à 20",
    "a plug is in the socket: unplug first": "une fiche est dans la prise : débranchez d'abord",
    "the point is in service: take it out first with `availability {} off`": "le point est en service : retirez-le d'abord avec `availability {} off`",
    "a session is going on at this point: end it first": "une session est en cours à ce point : terminez-la d'abord",
    "a self-test is under way": "un autotest est en cours",
    "a tethered cable has no lock": "un câble attaché n'a pas de verrou",
    "another release was asked for": "un autre déverrouillage a été demandé",
    "the lock did not open": "le verrou ne s'est pas ouvert",
    "the contactor is not confirmed open": "le contacteur n'est pas confirmé ouvert",
    "it could not run: the contactor is not confirmed open": "il n'a pas pu se faire : le contacteur n'est pas confirmé ouvert",
    "there is no self-test '{}'; there are {}": "l'autotest '{}' n'existe pas ; il y a {}",
    "there is no active fault '{}' on this point": "aucun défaut '{}' actif à ce point",
    "the cause of '{}' is still present: {}": "la cause de '{}' est toujours là : {}",
    "see the point": "voir le point",
    "'{}' goes by itself when its cause does; it takes no acknowledgement": "'{}' disparaît avec sa cause ; il ne s'acquitte pas",
    "the safety process refused": "le processus de sécurité a refusé",
    "the safety process is not connected": "le processus de sécurité n'est pas relié",
    "the safety process did not answer within {} s": "le processus de sécurité n'a pas répondu en {} s",
    "closed by the safety process": "fermé par le processus de sécurité",
    "silent for {} s": "muet depuis {} s",
    "{} A for {} minutes is no limit: give 0 to 1000 A, and up to a week": "{} A pendant {} minutes n'est pas une limite : donnez de 0 à 1000 A, et une semaine au plus",
    "the journal does not take the entry, so it is not done: {}": "le journal ne prend pas l'inscription, donc rien n'est fait : {}",
    "there is no level {}; there are {}": "le niveau {} n'existe pas ; il y a {}",
    # --- who set a limit
    "configuration": "la configuration",
    "proximity contact": "contact de proximité",
    "safety process": "processus de sécurité",
    "grid operator": "gestionnaire du réseau",
    "station": "la borne",
    "operator": "l'opérateur",
    "technician": "un technicien",
    "profile {}": "profil {}",
    "Linky meter": "compteur Linky",
    "building's meter": "compteur du bâtiment",
    # --- sockets
    '"jsonrpc" is {}, not "2.0"': '"jsonrpc" est {}, pas "2.0"',
    "at most {} parameters, not {}": "au plus {} paramètres, pas {}",
    "there is no method {}": "la méthode {} n'existe pas",
    "the connection is closed": "la connexion est fermée",
    "{}: another process already listens here; stop it first": "{} : un autre processus écoute déjà ici ; arrêtez-le d'abord",
    "{}: closed before it answered {}": "{} : fermé avant de répondre à {}",
    # --- journal
    "the database stayed locked for {} s": "la base est restée verrouillée {} s",
    "its schema is no text: {}": "son schéma n'est pas du texte : {}",
    "the schema lacks {}": "il manque au schéma : {}",
    "the schema's number {} cannot be": "le numéro de schéma {} est impossible",
    "{} is on {}: mount the data partition there; an overlay is overlayroot=tmpfs:recurse=0": "{} est sur {} : y monter la partition de données ; un overlay s'écrit overlayroot=tmpfs:recurse=0",
    "disk I/O error": "erreur de lecture ou d'écriture du disque",
    "database or disk is full": "disque plein",
    "attempt to write a readonly database": "la base est en lecture seule",
    "database disk image is malformed": "la base est abîmée",
    "unable to open database file": "la base ne peut être ouverte",
    "database is locked": "la base est verrouillée",
    "file is not a database": "le fichier n'est pas une base",
    "the last {} writes could not be read: the journal's log is damaged": "les {} dernières écritures sont illisibles : le fichier des transactions du journal est abîmé",
    "{} damaged records were taken out of the journal ({})": "{} enregistrements abîmés ont été retirés du journal ({})",
    "set aside as {} ({}); recovered: {}": "mis de côté sous le nom {} ({}) ; récupéré : {}",
    # --- central system and transfers
    "the connection ended: {}": "la connexion a pris fin : {}",
    "no answer to {} within {} s": "pas de réponse à {} en {} s",
    "the answer to {} lacks what it must have: {}": "il manque l'essentiel à la réponse à {} : {}",
    "there is no accepted connection to the central system": "aucune connexion acceptée avec le système central",
    "the central system answered HTTP {}": "le système central a répondu HTTP {}",
    "not granted: {}": "non accordé : {}",
    "the server answered HTTP {} {}": "le serveur a répondu HTTP {} {}",
    "the server answered strangely: {}": "le serveur a répondu étrangement : {}",
    "no answer from {}": "pas de réponse de {}",
    "modem.reboot_command is empty": "modem.reboot_command est vide",
    "the machine still runs after {} s": "la machine tourne toujours après {} s",
    "the server said {}": "le serveur a dit {}",
    "the transfer took longer than {} s": "le transfert a pris plus de {} s",
    "the file is larger than {} bytes": "le fichier dépasse {} octets",
    "the file ended after {} of {} bytes": "le fichier s'arrête à {} octets sur {}",
    "{} is not a URL of {}": "{} n'est pas une adresse de {}",
    "the server leads away from https, to {}": "le serveur mène hors de https, vers {}",
    "the server sent another part than the one that was asked for": "le serveur a envoyé une autre partie que celle demandée",
    "the disk is too full: {} bytes may be used, {} are needed at least, and {} stay free for the journal": "le disque est trop plein : {} octets utilisables, il en faut au moins {}, et {} restent libres pour le journal",
    "{} has revoked it (list of {})": "{} l'a révoqué (liste du {})",
    # --- updates
    "no program took the image: is the update unit enabled?": "aucun programme n'a pris l'image : l'unité de mise à jour est-elle activée ?",
    "no trusted key is installed: put the signer's public key into /etc/chargepoint/trusted-keys": "aucune clé de confiance : mettez la clé publique du signataire dans /etc/chargepoint/trusted-keys",
    "the signature of {} is not from a trusted key": "la signature de {} n'est pas d'une clé de confiance",
    "there is no USB stick that is not mounted": "il n'y a pas de clé USB à monter",
    "{} cannot be mounted: systemd-mount ended with status {}": "{} ne peut être montée : systemd-mount s'est arrêté avec le code {}",
    "there is no USB stick": "il n'y a pas de clé USB",
    "{} is mounted at {} by hand: unmount it there first": "{} est montée à la main sur {} : démontez-la d'abord",
    "there is nothing to write to a stick": "il n'y a rien à écrire sur une clé",
    "{} is not a plain file": "{} n'est pas un fichier ordinaire",
    "{} could not be written to: {}": "impossible d'écrire sur {} : {}",
    "{} cannot be let go: systemd-umount ended with status {}": "{} ne peut être libérée : systemd-umount s'est arrêté avec le code {}",
    "there is no *.bundle in {}": "il n'y a pas de *.bundle dans {}",
    "the bundle is for borne {}; this is {}": "le paquet est pour la borne {} ; ici c'est {}",
    "this is a bundle of kind {}, not an update": "c'est un paquet de genre {}, pas une mise à jour",
    "the manifest lists {} with mode {}, which is not allowed": "le manifeste donne {} avec les droits {}, ce qui n'est pas permis",
    "the manifest of {} cannot be read: {}": "le manifeste de {} ne peut être lu : {}",
    "the services could not be restarted: {}": "les services n'ont pu être redémarrés : {}",
    "cars charged for a whole day": "des véhicules ont chargé toute une journée",
    "cars charged for a whole day; switch by hand: chargepoint update switch {}": "des véhicules ont chargé toute une journée ; basculez à la main : chargepoint update switch {}",
    "no version is on trial; name the version to go to: chargepoint update switch VERSION": "aucune version à l'essai ; nommez celle voulue : chargepoint update switch VERSION",
    "{} was exchanged for another bundle while it was laid out": "{} a été échangé contre un autre paquet pendant sa mise en place",
    "version {} did not survive {} starts": "la version {} n'a pas survécu à {} démarrages",
    "the note of the trial could not be read, and version {} was taken back": "la note de l'essai n'a pu être lue, et la version {} a été retirée",
    "the machine was started again before the switch": "la machine a redémarré avant la bascule",
    "the image cannot be handed over: {}": "l'image ne peut être remise à l'installateur : {}",
    "version {} was not well and was taken back": "la version {} n'allait pas bien et a été retirée",
    "version {} does not run on this machine, it said: {}": "la version {} ne tourne pas sur cette machine, elle a dit : {}",
    "nothing": "rien",
    "version {} does not run on this machine: {}": "la version {} ne tourne pas sur cette machine : {}",
    "version {} does not start with a number, like 1.4.0": "la version {} ne commence pas par un nombre, comme 1.4.0",
    "version {} is not installed; there is {}": "la version {} n'est pas installée ; il y a {}",
    "version {} needs units of number {}, and the installed package brought number {}: install the Debian package of version {}": "la version {} demande des unités de numéro {}, et le paquet installé a apporté le numéro {} : installez le paquet Debian de la version {}",
    "{} has no number in it: install the package again": "{} ne contient pas de nombre : réinstallez le paquet",
    "version {} is running; it cannot be replaced by itself": "la version {} tourne ; elle ne peut se remplacer elle-même",
    "version {} is {} the running {}; --downgrade installs it all the same": "la version {} est {} la version en service, {} ; --downgrade l'installe quand même",
    "older than": "plus ancienne que",
    "the same as": "la même que",
    "another program watches the trial": "un autre programme surveille l'essai",
    "a header announces {} bytes": "un en-tête annonce {} octets",
    "another bundle is being laid out": "un autre paquet est en cours de mise en place",
    "version {} is the way back from the one on trial; it cannot be replaced now": "la version {} est celle où revenir après l'essai ; elle ne peut être remplacée maintenant",
    "another update is under way": "une autre mise à jour est en cours",
    "another program changes the version that runs": "un autre programme change la version en service",
    "until no car charges": "jusqu'à ce qu'aucun véhicule ne charge",
    "{} could not be compiled: {}": "{} n'a pu être compilé : {}",
    "{} exists already; remove it yourself if it is to be replaced": "{} existe déjà ; supprimez-le vous-même s'il doit être remplacé",
    "{} has format {}; this version reads format {}": "{} a le format {} ; cette version lit le format {}",
    "{} has no bin/chargepoint; give the folder of one version": "{} n'a pas de bin/chargepoint ; donnez le dossier d'une version",
    "{} holds more than its manifest lists": "{} contient plus que son manifeste",
    "{} in {} is not a plain file": "{} dans {} n'est pas un fichier ordinaire",
    "{} in {} is not what was signed": "{} dans {} n'est pas ce qui a été signé",
    "{} is damaged: {} was expected, {} is there": "{} est abîmé : {} attendu, {} trouvé",
    "{} is no private key without a pass phrase: {}": "{} n'est pas une clé privée sans phrase secrète : {}",
    "{} is no public key: {}": "{} n'est pas une clé publique : {}",
    "{} is not a bundle: {} is missing or too large": "{} n'est pas un paquet : {} manque ou est trop grand",
    "{} is not a version, like 1.4.0": "{} n'est pas une version, comme 1.4.0",
    "{} is not an Ed25519 key": "{} n'est pas une clé Ed25519",
    # --- what the system says
    "No closing quotation": "Il manque un guillemet",
    "[Errno {}] {}": "{1} (erreur {0})",
    "[Errno {}] {}: {}": "{1} (erreur {0}) : {2}",
    "No space left on device": "Plus de place sur le disque",
    "Invalid argument": "Argument refusé",
    "No such file or directory": "Fichier ou dossier inexistant",
    "Permission denied": "Accès refusé",
    "Input/output error": "Erreur d'entrée-sortie",
    "Read-only file system": "Système de fichiers en lecture seule",
    "Is a directory": "C'est un dossier",
    "Not a directory": "Ce n'est pas un dossier",
    "No such device": "Périphérique absent",
    "Device or resource busy": "Périphérique occupé",
    "Connection refused": "Connexion refusée",
    "Connection reset by peer": "Connexion coupée par l'autre côté",
    "Connection timed out": "Délai de connexion dépassé",
    "Network is unreachable": "Réseau injoignable",
    "No route to host": "Pas de route vers l'hôte",
    "timed out": "délai dépassé",
}  # fmt: skip
"""By the English sentence, with `{}` for each value; in the French `{1}` may name the second one."""

_DEPTH: Final = 4
"""Sentences within sentences."""
_LONGEST: Final = 500
"""Nothing longer is a sentence of ours: it is left as it is."""


_QUOTED: Final = re.compile(r'"[^"]*"')
"""Somebody's own text, which nobody translates."""


class Catalogue:
    """A table of sentences, applied to a sentence with its values, and to the sentences among these."""

    def __init__(self, french: Mapping[str, str], whole: Mapping[str, str] | None = None) -> None:
        """`whole`: another table, for values that are one of its sentences word for word."""
        self._french = french
        self._whole = {**(whole or {}), **french}

    def translate(self, text: str, lang: str) -> str:
        """The sentence in French when `lang` is `fr` and the table has it; else as it is."""
        return text if lang != "fr" else self._translated(text, _DEPTH)

    def knows(self, text: str) -> bool:
        """Whether the table has the sentence (with any values), or says that it is the same in French."""
        return text in self._french or any(pattern.fullmatch(text) for pattern, _ in self._patterns)

    def _translated(self, text: str, depth: int) -> str:
        if text in self._whole:
            return self._whole[text]
        if depth == 0 or len(text) > _LONGEST or _QUOTED.fullmatch(text):
            return text
        for pattern, french in self._patterns:
            found = pattern.fullmatch(text)
            if found is not None:
                return french.format(*(self._translated(value, depth - 1) for value in found.groups()))
        return text

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        """Templates as expressions, those with the most fixed words first."""
        templates = sorted(
            (text for text in self._french if "{}" in text), key=lambda text: -len(text.replace("{}", ""))
        )
        return tuple(
            (re.compile("(.+?)".join(map(re.escape, template.split("{}"))), re.DOTALL), self._french[template])
            for template in templates
        )


_TABLE: Final = Catalogue(FRENCH)


def translate(text: str, lang: str) -> str:
    """The sentence in French when `lang` is `fr` and the table has it; else as it is."""
    return _TABLE.translate(text, lang)


def known(text: str) -> bool:
    """Whether the table has the sentence (with any values), or says that it is the same in French."""
    return _TABLE.knows(text)
